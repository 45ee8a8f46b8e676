package zenduty_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// dumpsTests hold what CPython prints. TestDumpsAgainstPython asks it again.
var dumpsTests = []struct{ name, doc, want string }{
	{"null", `null`, `null`},
	{"true", ` true `, `true`},
	{"false", "\tfalse\r\n", `false`},
	{"empty object", `{ }`, `{}`},
	{"empty array", "[\n]", `[]`},
	{"separators", `{"a":[1,2],"b":{"c":null}}`, `{"a": [1, 2], "b": {"c": null}}`},
	{"order of keys", `{"b":1,"a":2,"":3}`, `{"b": 1, "a": 2, "": 3}`},
	{"same key in different objects", `{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}`, `{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}]}`},
	{"keys that differ in case", `{"a":1,"A":2}`, `{"a": 1, "A": 2}`},

	{"plain text", `"a b~/<>&"`, `"a b~/<>&"`},
	{"short escapes", `"\" \\ \/ \b \f \n \r \t"`, `"\" \\ / \b \f \n \r \t"`},
	{"short escapes, written long", `"\u0022\u005C\u002f\u0008\u000c\u000A\u000d\u0009"`, `"\"\\/\b\f\n\r\t"`},
	{"other controls", `"\u0000\u0001\u001f\u007f"`, `"\u0000\u0001\u001f\u007f"`},
	{"delete is escaped", "\"\x7f\"", `"\u007f"`},
	{"needless escapes", `"\u0041\u007e\u0020"`, `"A~ "`},
	{"two bytes", `"é"`, `"\u00e9"`},
	{"three bytes", "\"\u2028\ufeff\uffff\"", `"\u2028\ufeff\uffff"`},
	{"four bytes", `"🔥"`, `"\ud83d\udd25"`},
	{"last code point", "\"\U0010ffff\"", `"\udbff\udfff"`},
	{"pair, upper case", `"\uD83D\uDD25"`, `"\ud83d\udd25"`},
	{"lone high", `"\ud83d"`, `"\ud83d"`},
	{"lone low", `"\udd25x"`, `"\udd25x"`},
	{"high before an escape", `"\ud83d\u0041\ud83d\n"`, `"\ud83dA\ud83d\n"`},
	{"high before a pair", `"\ud83d\ud83d\udd25"`, `"\ud83d\ud83d\udd25"`},
	{"low before high", `"\udd25\ud83d"`, `"\udd25\ud83d"`},
	{"high before an astral character", `"\ud83d🔥"`, `"\ud83d\ud83d\udd25"`},
	{"lone surrogates as keys", `{"\ud83d":1,"\ud83e":2,"\udd25":3}`, `{"\ud83d": 1, "\ud83e": 2, "\udd25": 3}`},
	{"replacement character", `"\ufffd�"`, `"\ufffd\ufffd"`},

	{"integers", `[0,-1,10,9007199254740993]`, `[0, -1, 10, 9007199254740993]`},
	{"negative zero, integer", `-0`, `0`},
	{"negative zero, float", `[-0.0,-0e0,-0E-7]`, `[-0.0, -0.0, -0.0]`},
	{"integer beyond 64 bits", `-123456789012345678901234567890`, `-123456789012345678901234567890`},
	{"longest integer", "-" + strings.Repeat("9", 4300), "-" + strings.Repeat("9", 4300)},
	{"integral floats", `[1.0,1e0,1E+2,100e-2,1.50]`, `[1.0, 1.0, 100.0, 1.0, 1.5]`},
	{"exponent from 1e16", `[9999999999999998.0,1e15,1e16,1e22,-1e16]`, `[9999999999999998.0, 1000000000000000.0, 1e+16, 1e+22, -1e+16]`},
	{"exponent below 1e-4", `[0.0001,0.00012,0.00001,0.00009999,-1e-5]`, `[0.0001, 0.00012, 1e-05, 9.999e-05, -1e-05]`},
	{"exponents of two and three digits", `[1.5e-7,1e-10,1e100,1e-100]`, `[1.5e-07, 1e-10, 1e+100, 1e-100]`},
	{"shortest digits", `[0.1,0.10,0.30000000000000004,0.1000000000000000055511151231257827]`, `[0.1, 0.1, 0.30000000000000004, 0.1]`},
	{"17 digits", `123456789012345678.0`, `1.2345678901234568e+17`},
	{"limits of float64", `[1.7976931348623157e308,2.2250738585072014e-308,5e-324]`, `[1.7976931348623157e+308, 2.2250738585072014e-308, 5e-324]`},
	{"underflow", `[1e-400,-1e-400]`, `[0.0, -0.0]`},
	{"overflow", `[1e400,-1e400,1e99999999999999999999]`, `[Infinity, -Infinity, Infinity]`},
	{"as many slow floats as may be", "[" + strings.Repeat("5e-324,", 8) + "0.5]", "[" + strings.Repeat("5e-324, ", 8) + "0.5]"},
	{"any number of others", "[" + strings.Repeat("-0.00012345678901234567,1e99,", 9) + "0.5]", "[" + strings.Repeat("-0.00012345678901234567, 1e+99, ", 9) + "0.5]"},
	{"longest float", "0." + strings.Repeat("0", 4291) + "1e4292", `1.0`},

	{"deepest", nested(500), nested(500)},
}

func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func TestAppendDumps(t *testing.T) {
	for _, test := range dumpsTests {
		got, err := zenduty.AppendDumps([]byte("> "), []byte(test.doc))
		if err != nil || string(got) != "> "+test.want {
			t.Errorf("%s: %.200s\n got %.200s, %v\nwant %.200s", test.name, test.doc, got, err, test.want)
		}
	}
}

// refusedTests are documents Python's strict reader refuses too, but for those
// marked lenient.
var refusedTests = []struct {
	name, doc, want string
	lenient         bool
}{
	{"nothing", "", "byte 0: document ends early, expected a value", false},
	{"white space only", " \n", "byte 2: document ends early, expected a value", false},
	{"byte order mark", "\ufeff{}", "byte 0: expected a value", false},
	{"form feed", "\f{}", "byte 0: expected a value", false},
	{"no-break space", "\u00a0{}", "byte 0: expected a value", false},
	{"word", "hello", "byte 0: expected a value", false},
	{"literal cut off", "tru", "byte 0: expected true", false},
	{"literal of another case", "[False]", "byte 1: expected a value", false},
	{"literal run on", "nullx", "byte 4: data after the document's end", false},
	{"NaN", "[NaN]", "byte 1: expected a value", true},
	{"Infinity", "[-Infinity]", "byte 2: expected a digit", true},
	{"comment", "[1/**/]", "byte 2: expected ',' or ']' in an array", false},
	{"single quotes", "['a']", "byte 1: expected a value", false},

	{"two documents", "{} {}", "byte 3: data after the document's end", false},
	{"zero byte after", "{}\x00", "byte 2: data after the document's end", false},
	{"object not closed", `{"a":1`, "byte 6: document ends early, expected ',' or '}' in an object", false},
	{"key only", `{"a"}`, "byte 4: expected ':' after an object's key", false},
	{"key cut off", `{"a`, "byte 3: document ends early, expected '\"' at a string's end", false},
	{"no value", `{"a":}`, "byte 5: expected a value", false},
	{"key not a string", `{1:1}`, "byte 1: expected a string as an object's key", false},
	{"comma first", `{,}`, "byte 1: expected a string as an object's key", false},
	{"comma last in an object", `{"a":1,}`, "byte 7: expected a string as an object's key", false},
	{"no comma", `{"a":1 "b":2}`, "byte 7: expected ',' or '}' in an object", false},
	{"array not closed", `[1`, "byte 2: document ends early, expected ',' or ']' in an array", false},
	{"comma last in an array", `[1,]`, "byte 3: expected a value", false},
	{"wrong bracket", `[1}`, "byte 2: expected ',' or ']' in an array", false},

	{"raw line break", "\"a\nb\"", "byte 2: control character in a string", false},
	{"raw zero byte", "\"\x00\"", "byte 1: control character in a string", false},
	{"unknown escape", `"\x41"`, "byte 1: unknown escape in a string", false},
	{"cut off in an escape", `"\`, "byte 1: string cut off in an escape", false},
	{"short \\u", `"\u12"`, `byte 1: \u without four hexadecimal digits`, false},
	{"\\u with a sign", `"\u+123"`, `byte 1: \u without four hexadecimal digits`, false},
	{"\\u with a letter beyond f", `"\u00eG"`, `byte 1: \u without four hexadecimal digits`, false},
	{"UTF-8 cut off", "\"a\xe2\x82\"", "byte 2: invalid UTF-8 in a string", false},
	{"UTF-8 surrogate", "\"\xed\xa0\x80\"", "byte 1: invalid UTF-8 in a string", false},
	{"UTF-8 overlong", "\"\xc0\xaf\"", "byte 1: invalid UTF-8 in a string", false},
	{"UTF-8 too big", "\"\xf4\x90\x80\x80\"", "byte 1: invalid UTF-8 in a string", false},

	{"leading zero", "[01]", "byte 2: expected ',' or ']' in an array", false},
	{"leading plus", "+1", "byte 0: expected a value", false},
	{"leading point", ".5", "byte 0: expected a value", false},
	{"minus only", "-", "byte 1: document ends early, expected a digit", false},
	{"point last", "1.", "byte 2: document ends early, expected a digit after the decimal point", false},
	{"exponent empty", "[1e+]", "byte 4: expected a digit in the exponent", false},
	{"hexadecimal", "0x10", "byte 1: data after the document's end", false},
	{"integer too long", "[-" + strings.Repeat("9", 4301) + "]", "byte 1: a number of over 4300 digits", false},
	{"float too long", "0." + strings.Repeat("1", 4299), "byte 0: a number of over 4300 digits", true},

	{"slow floats, subnormal", "[" + strings.Repeat("5e-324,", 8) + "4e-320]", "byte 57: more than 8 floats that are slow to read", true},
	{"slow floats, beyond float64", strings.Repeat(`{"":1.8e308,"a":`, 8) + "1E+309" + strings.Repeat("}", 8), "byte 128: more than 8 floats that are slow to read", true},
	{"slow floats, of 20 digits", "[" + strings.Repeat("0.12345678901234567890,", 9) + "0]", "byte 185: more than 8 floats that are slow to read", true},
	{"slow floats, of many zeros", "[" + strings.Repeat("0."+strings.Repeat("0", 40)+"1,", 9) + "0]", "byte 353: more than 8 floats that are slow to read", true},

	{"duplicate key", `{"a":1,"b":2,"a":1}`, "byte 13: the same key twice in an object", false},
	{"duplicate key, escaped", `{"a":1, "\u0061":1}`, "byte 8: the same key twice in an object", false},
	{"duplicate key, escaped pair", `{"🔥":1,"\uD83D\uDD25":1}`, "byte 10: the same key twice in an object", false},
	{"duplicate empty key", `{"":1,"":1}`, "byte 6: the same key twice in an object", false},
	{"duplicate key further in", `[{"x":{"a":1,"a":{}}}]`, "byte 13: the same key twice in an object", false},
	{"too deep", nested(501), "byte 500: nested deeper than 500 levels", true},
	{"too deep, and not closed", strings.Repeat(`{"a":`, 100_000), "byte 2500: nested deeper than 500 levels", true},
}

func TestAppendDumpsRefuses(t *testing.T) {
	for _, test := range refusedTests {
		got, err := zenduty.AppendDumps([]byte("> "), []byte(test.doc))
		if want := "json.dumps: " + test.want; err == nil || err.Error() != want {
			t.Errorf("%s: %.60q\n got %v\nwant %s", test.name, test.doc, err, want)
		}
		if string(got) != "> " {
			t.Errorf("%s: %q was appended", test.name, got)
		}
	}
}

// TestManyKeys is a hostile body: a comparison of each key with all others
// takes about a minute, hashing them milliseconds.
func TestManyKeys(t *testing.T) {
	doc := manyKeys(100_000)
	start := time.Now()
	if _, err := zenduty.AppendDumps(nil, doc); err != nil {
		t.Fatal(err)
	}
	twice := append(doc[:len(doc)-1:len(doc)-1], `,"00007":0}`...)
	if _, err := zenduty.AppendDumps(nil, twice); err == nil {
		t.Error("a key repeated after 100,000 others was not found")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// manyKeys returns an object of n different keys of the same length.
func manyKeys(n int) []byte {
	doc := []byte("{")
	for i := range n {
		doc = fmt.Appendf(doc, `"%05x":1,`, i)
	}
	doc[len(doc)-1] = '}'
	return doc
}

package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const exampleFile = "example.yaml"

// commented is a setting without a default in example.yaml: # and then no space
// and a name, or # in the first column and a line of a commented section.
var commented = regexp.MustCompile(`(?m)^( *)#((?: {2,})?(?:- )?[a-z0-9_-]+:(?: .*)?)$`)

func TestExampleHoldsTheDefaults(t *testing.T) {
	got, err := Load(Flags{Config: ptr(exampleFile)}, env{envSigningKey: "k"}.get)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Sources[DefaultSource] = Source{Signature: SignatureAuto, Keys: []Key{{Name: "default", Key: NewSecret("k")}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("example.yaml differs from Default (-default +example):\n%s", diff)
	}
}

func TestExampleWritesEveryDefaultOut(t *testing.T) {
	given := keysOf(t, exampleText(t))
	for _, s := range Settings() {
		plain := !strings.ContainsAny(s.Key, "<[")
		if s.Default != "" && plain && !slices.Contains(given, s.Key) {
			t.Errorf("%s has the default %s, but example.yaml does not set it", s.Key, s.Default)
		}
	}
}

func TestExampleKnowsEverySetting(t *testing.T) {
	whole := commented.ReplaceAllString(exampleText(t), "$1$2")
	given := keysOf(t, whole)
	for _, s := range Settings() {
		if s.Key != "" && !slices.Contains(given, s.Key) {
			t.Errorf("example.yaml does not show %s", s.Key)
		}
	}
	c := Default()
	d := decoder{file: exampleFile, places: places{}}
	if d.decode([]byte(whole), &c); d.faults != nil {
		t.Errorf("with its comments taken away: %v", d.faults.err())
	}
}

func TestExampleNamesTheVariables(t *testing.T) {
	text := exampleText(t)
	for _, s := range Settings() {
		if strings.HasPrefix(s.Env, "ZENDUTY_BRIDGE_") {
			continue // named after the setting, as the head of the file says
		}
		for _, name := range []string{s.Env, s.Flag} {
			if !regexp.MustCompile(regexp.QuoteMeta(name) + `\b`).MatchString(text) {
				t.Errorf("example.yaml does not say that %s is also %s", s.Key, name)
			}
		}
	}
}

func exampleText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keysOf lists the dotted names in a document as Settings writes them.
func keysOf(t *testing.T, text string) []string {
	t.Helper()
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var keys []string
	collectKeys(reflect.ValueOf(tree), "", func(key string) { keys = append(keys, key) })
	return keys
}

func collectKeys(v reflect.Value, key string, visit func(string)) {
	switch v.Kind() {
	case reflect.Interface:
		collectKeys(v.Elem(), key, visit)
	case reflect.Slice:
		visit(key) // a list of single values is one setting
		for i := range v.Len() {
			collectKeys(v.Index(i), key+"[]", visit)
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			collectKeys(v.MapIndex(name), join(key, chosen(key, name.Interface())), visit)
		}
	default:
		visit(key)
	}
}

// chosen stands in for names that the operator chooses.
func chosen(key string, name any) string {
	switch key {
	case "sources":
		return "<name>"
	case "services":
		return "<unique_id>"
	}
	return name.(string)
}

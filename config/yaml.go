package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds the configuration file; a larger one is some other file.
const maxFileBytes = 1 << 20

// decoder reads a YAML document into a Config that holds the defaults. It walks
// the nodes itself, where yaml.v3 would decode them, to report every fault with
// its dotted name and line and to quote nothing but names.
type decoder struct {
	file   string // for places
	places places
	faults faults
}

// decode reads the document in data into c. It reports whether there was one to
// read, be it empty or with faults in single settings.
func (d *decoder) decode(data []byte, c *Config) bool {
	root := d.parse(data)
	if root == nil {
		return len(d.faults) == 0
	}
	d.value(root, reflect.ValueOf(c).Elem(), "")
	return root.Kind == yaml.MappingNode || len(d.faults) == 0
}

// parse returns the root of the one document in data, or nil if there is none.
func (d *decoder) parse(data []byte) *yaml.Node {
	if line, ok := notText(data); !ok {
		d.reject(line, "", "is not UTF-8 text without control characters")
		return nil
	}
	documents := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := documents.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil // nothing but comments
	}
	if err == nil {
		err = documents.Decode(&second)
	}
	switch {
	case err == nil:
		d.reject(second.Line, "", "a second document begins; keep one in a file")
		return nil
	case !errors.Is(err, io.EOF):
		d.syntax(err, data)
		return nil
	}
	return first.Content[0]
}

func (d *decoder) place(line int) string { return fmt.Sprintf("%s:%d", d.file, max(line, 1)) }

// reject notes a fault of key in a line.
func (d *decoder) reject(line int, key, format string, args ...any) {
	d.faults.add(key, format, args...)
	d.faults[len(d.faults)-1].Place = d.place(line)
}

// value reads a node into the setting v, which is named key.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	line := n.Line
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		d.reject(line, key, "tags are not supported; quote a value that begins with !")
	case isScalar(v.Type()) && (v.Kind() != reflect.Slice || n.Kind != yaml.SequenceNode):
		d.scalar(n, v, key, line)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), key)
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		// A section whose lines are all commented out leaves the defaults alone.
	case v.Kind() == reflect.Slice:
		d.list(n, v, key, line)
	default:
		d.mapping(n, v, key, line)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, key string, line int) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.reject(line, key, "must be a single value")
	case n.ShortTag() == "!!null":
		d.reject(line, key, "has no value; give one or take the line out")
	default:
		if err := setScalar(v, n.Value); err != nil {
			d.reject(line, key, "%w", err)
		}
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string, line int) {
	if n.Kind != yaml.SequenceNode {
		d.reject(line, key, "must be a list, each entry in a line that begins with -")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, entry := range n.Content {
		at := fmt.Sprintf("%s[%d]", key, i)
		d.note(at, entry.Line)
		d.value(entry, v.Index(i), at)
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string, line int) {
	if n.Kind != yaml.MappingNode {
		d.reject(line, key, "must be a mapping, each entry in a line such as `name: value`")
		return
	}
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		first, twice := lines[name.Value]
		switch {
		case name.Kind != yaml.ScalarNode || name.ShortTag() == "!!null" || name.Style&yaml.TaggedStyle != 0:
			d.reject(name.Line, key, "an entry's name must be plain text")
		case name.ShortTag() == "!!merge":
			d.reject(name.Line, key, "merge keys (<<) are not supported; write the settings out")
		case twice:
			d.reject(name.Line, shown(name.Value, v, key), "is given twice, first in line %d", first)
		default:
			lines[name.Value] = name.Line
			d.entry(name, value, v, key)
		}
	}
}

// shown is the dotted name of v's entry called name, or of v if there is none.
func shown(name string, v reflect.Value, key string) string {
	if v.Kind() == reflect.Struct && !field(v, name).IsValid() {
		return key
	}
	return child(key, name)
}

// entry reads one line of a mapping into the struct or map v.
func (d *decoder) entry(name, value *yaml.Node, v reflect.Value, key string) {
	at := child(key, name.Value)
	if v.Kind() == reflect.Map {
		d.note(at, name.Line)
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(value, element, at)
		v.SetMapIndex(reflect.ValueOf(name.Value), element)
		return
	}
	setting := field(v, name.Value)
	if !setting.IsValid() {
		d.unknown(name, v.Type(), key)
		return
	}
	d.note(at, name.Line)
	d.value(value, setting, at)
}

// note records where a setting was given. Several names that are not shown share
// one dotted name; the line of what contains them is then the best there is.
func (d *decoder) note(key string, line int) {
	place := d.place(line)
	if _, taken := d.places[key]; taken {
		place = d.places.find(strings.TrimSuffix(key, ".?"))
	}
	d.places[key] = place
}

// unknown reports a name that the struct type t does not have.
func (d *decoder) unknown(name *yaml.Node, t reflect.Type, key string) {
	known := names(t)
	if quotable(name.Value, t, known) {
		d.reject(name.Line, child(key, name.Value), "unknown setting; known here: %s", strings.Join(known, ", "))
		return
	}
	d.reject(name.Line, key, "unknown setting in column %d; known here: %s", name.Column, strings.Join(known, ", "))
}

// quotable reports whether an unknown name can be shown. Where secrets are set it
// may be one after which a colon was typed, unless it is a known name misspelt.
func quotable(name string, t reflect.Type, known []string) bool {
	if !settingName.MatchString(name) {
		return false
	}
	return !holdsSecret(t) || slices.ContainsFunc(known, func(k string) bool { return misspells(name, k) })
}

var (
	settingName = regexp.MustCompile(`^[a-z_]{1,32}$`)

	syntaxError  = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	anchorError  = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	grammarError = regexp.MustCompile(`^did not find expected (?:<|node content|key|'-'|',' or)|^found (?:undefined tag|duplicate|incompatible)`)
)

// syntax reports an error of yaml.v3's parser. Only the one about an anchor quotes
// the document; it has no line. Those of the grammar, as against those of single
// characters, count lines from 0.
func (d *decoder) syntax(err error, data []byte) {
	m := syntaxError.FindStringSubmatch(err.Error())
	if m == nil {
		d.reject(1, "", "not valid YAML")
		return
	}
	line, _ := strconv.Atoi(m[1]) // 0 if there is none
	problem := m[2]
	if grammarError.MatchString(problem) {
		line++
	}
	if anchor := anchorError.FindStringSubmatch(problem); anchor != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+anchor[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
		problem = "an alias names an unknown anchor; quote a value that begins with *"
	}
	d.reject(line, "", "not valid YAML: %s", problem)
}

// notText returns the line of the first character that YAML 1.2 (section 5.1)
// does not print, and whether there is none.
func notText(data []byte) (line int, ok bool) {
	line = 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		control := r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85
		stray := r == 0xfeff && i > 0 || r == 0xfffe || r == 0xffff
		if r == utf8.RuneError && size == 1 || control || stray {
			return line, false
		}
		if r == '\n' {
			line++
		}
		i += size
	}
	return line, true
}

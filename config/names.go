package config

import (
	"reflect"
	"regexp"
	"strings"
)

// A setting's dotted name is made of the yaml tags on the way to it:
// sources.zenduty.keys[1].key_file.

// plainName is what a name chosen by the operator looks like when it can stand in
// a dotted name.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// child is the dotted name of the entry called name in the setting key. A name
// that is not plain is not shown: it may not be meant as a name at all.
func child(key, name string) string {
	if !plainName.MatchString(name) {
		name = "?"
	}
	return join(key, name)
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// names lists the settings directly in the struct type t.
func names(t reflect.Type) []string {
	list := make([]string, t.NumField())
	for i := range list {
		list[i] = yamlName(t.Field(i))
	}
	return list
}

// field is the setting called name directly in the struct v, or the zero Value.
func field(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if yamlName(v.Type().Field(i)) == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

// lookup is the setting with the dotted name key, which leads through structs only.
func (c *Config) lookup(key string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for name := range strings.SplitSeq(key, ".") {
		if v = field(v, name); !v.IsValid() {
			break
		}
	}
	return v
}

// holdsSecret reports whether secrets are set in the struct type t or in the lists
// and sections below it. Config as a whole does not count.
func holdsSecret(t reflect.Type) bool {
	switch {
	case t == reflect.TypeFor[Secret]():
		return true
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer:
		return holdsSecret(t.Elem())
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[Config]():
		return false
	}
	for i := range t.NumField() {
		if holdsSecret(t.Field(i).Type) {
			return true
		}
	}
	return false
}

// misspells reports whether one letter too many, too few, wrong or swapped with
// its neighbour makes the difference between two names.
func misspells(name, known string) bool {
	if len(name) > len(known) {
		name, known = known, name
	}
	i := 0
	for i < len(name) && name[i] == known[i] {
		i++
	}
	rest, want := name[i:], known[i:]
	switch {
	case len(known)-len(name) > 1 || want == "":
		return false
	case len(known) > len(name):
		return rest == want[1:]
	}
	swapped := len(want) > 1 && rest[0] == want[1] && rest[1] == want[0] && rest[2:] == want[2:]
	return rest[1:] == want[1:] || swapped
}

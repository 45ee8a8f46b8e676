package config

import (
	"reflect"
	"slices"
)

// Setting describes one setting: what it is called in each layer and its default.
type Setting struct {
	Key     string // dotted name in the file, with <name> and [] for what the operator names or lists; empty for --config
	Flag    string // with its dashes; empty if it has none
	Env     string // variable; empty if it has none
	Default string // as an operator would write it; empty if there is none
	Help    string // one sentence; empty if it has no flag
}

// secretEnv are the variables that no flag stands for, by setting.
var secretEnv = map[string]string{
	"sources.<name>.keys[].key":      envSigningKey,
	"sources.<name>.keys[].key_file": envSigningKeyFile,
	"admin_token":                    envAdminToken,
	"nats.password":                  envNATSPassword,
	"nats.token":                     envNATSToken,
}

// Settings lists every setting in the order of the structs, after --config. The
// caller owns the list.
func Settings() []Setting {
	flags := Flags{}.all()
	var list []Setting
	describe(reflect.ValueOf(specimen()), "", func(key string, v reflect.Value) {
		s := Setting{Key: key, Env: secretEnv[key], Default: formatScalar(v)}
		i := slices.IndexFunc(flags, func(f flag) bool { return f.setting == key })
		if i >= 0 {
			s.Flag, s.Env, s.Help = "--"+flags[i].name, flags[i].env, flags[i].help
		}
		list = append(list, s)
	})
	file := Setting{Flag: "--" + flags[0].name, Env: flags[0].env, Help: flags[0].help}
	return append([]Setting{file}, list...)
}

// specimen is the default configuration with one of everything that has none.
func specimen() Config {
	c := Default()
	c.Sources["<name>"] = Source{Keys: make([]Key, 1), BasicAuth: &BasicAuth{}}
	c.Services["<unique_id>"] = ""
	c.fill()
	return c
}

// describe calls visit for every single value below v.
func describe(v reflect.Value, key string, visit func(key string, v reflect.Value)) {
	switch {
	case isScalar(v.Type()):
		visit(key, v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			describe(v.Field(i), join(key, yamlName(v.Type().Field(i))), visit)
		}
	case v.Kind() == reflect.Map:
		for _, name := range v.MapKeys() {
			describe(v.MapIndex(name), join(key, name.String()), visit)
		}
	case v.Kind() == reflect.Slice:
		describe(v.Index(0), key+"[]", visit)
	case v.Kind() == reflect.Pointer:
		describe(v.Elem(), key, visit)
	}
}

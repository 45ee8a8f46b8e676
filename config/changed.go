package config

import "reflect"

// Changed lists the settings in which two configurations differ, by their dotted names
// and in the order of the structs. What the operator names or lists counts as one:
// sources, services.
func Changed(a, b Config) []string {
	var list []string
	compare(reflect.ValueOf(a), reflect.ValueOf(b), "", func(key string) { list = append(list, key) })
	return list
}

func compare(a, b reflect.Value, key string, differ func(key string)) {
	if a.Kind() != reflect.Struct || isScalar(a.Type()) {
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			differ(key)
		}
		return
	}
	for i := range a.NumField() {
		compare(a.Field(i), b.Field(i), join(key, yamlName(a.Type().Field(i))), differ)
	}
}

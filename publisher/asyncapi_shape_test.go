package publisher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// asyncAPIShapes are the objects of AsyncAPI 3.0 that asyncapi.yaml has, by their names in the
// specification: what each may have and, without a question mark, must. What stands behind
// a colon is an object itself: each of a map (*) or list (+) of such, or, with an ampersand, a
// reference to one.
var asyncAPIShapes = map[string]string{
	"document":     "asyncapi id? info:info servers?:*server defaultContentType? channels?:*channel operations?:*operation components?:components",
	"info":         "title version description? termsOfService? contact? license?:license tags? externalDocs?:externalDocs",
	"license":      "name url?",
	"externalDocs": "description? url",
	"server":       "host protocol protocolVersion? pathname? description? title? summary? variables? security? tags? externalDocs? bindings?",
	"channel":      "address? messages?:*message title? summary? description? servers? parameters?:*parameter tags? externalDocs? bindings?",
	"parameter":    "description? enum? default? examples? location?",
	"operation":    "action channel:&channel title? summary? description? security? tags? externalDocs? bindings? traits? messages? reply?",
	"message":      "headers? payload? correlationId? contentType? name? title? summary? description? tags? externalDocs? bindings? examples?:+example traits?",
	"example":      "headers? payload? name? summary?",
	"components":   "schemas? servers?:*server channels?:*channel operations?:*operation messages?:*message parameters?:*parameter",
}

// faults are what of node, at a place, is not of a shape.
func (a *asyncAPI) faults(at string, node any, shape string) (list []string) {
	object, ok := node.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %T is no object (%s)", at, node, shape)}
	}
	if ref, ok := object["$ref"].(string); ok {
		if len(object) > 1 || a.find(ref) == nil {
			return []string{fmt.Sprintf("%s: a reference has nothing beside it, and leads somewhere: %s", at, ref)}
		}
		return a.faults(ref, a.find(ref), shape)
	}
	known := []string{}
	for field := range strings.FieldsSeq(asyncAPIShapes[shape]) {
		name, of, _ := strings.Cut(field, ":")
		name, optional := strings.CutSuffix(name, "?")
		known = append(known, name)
		value, there := object[name]
		switch {
		case !there && !optional:
			list = append(list, fmt.Sprintf("%s (%s) has no %s", at, shape, name))
		case there && of != "":
			list = append(list, a.faultsBelow(at+"/"+name, value, of)...)
		}
	}
	for name := range object {
		if !slices.Contains(known, name) {
			list = append(list, fmt.Sprintf("%s: %s is nothing that a %s has", at, name, shape))
		}
	}
	return list
}

// faultsBelow are those of a field that holds an object, or several.
func (a *asyncAPI) faultsBelow(at string, value any, of string) (list []string) {
	shape := of[1:]
	switch of[0] {
	case '*':
		several, ok := value.(map[string]any)
		if !ok {
			return []string{at + " is no map"}
		}
		for name, each := range several {
			list = append(list, a.faults(at+"/"+name, each, shape)...)
		}
	case '+':
		several, ok := value.([]any)
		if !ok {
			return []string{at + " is no list"}
		}
		for i, each := range several {
			list = append(list, a.faults(fmt.Sprint(at, "/", i), each, shape)...)
		}
	case '&':
		reference, _ := value.(map[string]any)
		if ref, _ := reference["$ref"].(string); !strings.HasPrefix(ref, "#/"+shape+"s/") {
			return []string{fmt.Sprintf("%s is no reference to a %s: %v", at, shape, value)}
		}
		return a.faults(at, value, shape)
	default:
		return a.faults(at, value, of)
	}
	return list
}

// The document is one of AsyncAPI 3.0: nothing that has to be is missing, and nothing is
// there that the specification does not know, as what version 2 had instead.
func TestAsyncAPIShape(t *testing.T) {
	a := readAsyncAPI(t)
	if a.root["asyncapi"] != "3.0.0" {
		t.Errorf("version %v", a.root["asyncapi"])
	}
	for _, fault := range a.faults("#", a.root, "document") {
		t.Error(fault)
	}
	for name, operation := range a.find("#/operations") {
		if action := operation.(map[string]any)["action"]; action != "send" && action != "receive" {
			t.Errorf("operation %s: action %v", name, action)
		}
	}
}

// What was right in AsyncAPI 2, or is misspelt, is found.
func TestAsyncAPIShapeFindsFaults(t *testing.T) {
	for _, c := range []struct {
		at, key string
		value   any
	}{
		{"#/info", "version", nil},
		{"#/info/license", "name", nil},
		{"#/servers/embedded", "url", "nats://127.0.0.1:4222"},
		{"#/channels/feed", "publish", map[string]any{}},
		{"#/channels/feed", "messages", []any{}},
		{"#/components/parameters/source", "schema", map[string]any{"type": "string"}},
		{"#/operations/feedIncident", "channel", "#/channels/feed"},
		{"#/operations/feedIncident", "channel", map[string]any{"$ref": "#/components/messages/copy"}},
		{"#/operations/feedIncident", "action", nil},
		{"#/components/messages/incident", "examples", map[string]any{}},
		{"#/components/messages/copy", "schemaFormat", "x"},
		{"#/components", "message", map[string]any{}},
	} {
		a := readAsyncAPI(t)
		if object := a.find(c.at); c.value == nil {
			delete(object, c.key)
		} else {
			object[c.key] = c.value
		}
		if len(a.faults("#", a.root, "document")) == 0 {
			t.Errorf("%s of %s: %v is no fault", c.key, c.at, c.value)
		}
	}
}

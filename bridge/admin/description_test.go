package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// described is openapi.yaml, and which of its answers and inputs a test has seen.
type described struct {
	doc     map[string]any
	inputs  map[string]string         // where the schema is of a query's name or a body's, such as "GET /api/v1/webhooks ?limit"
	answers map[string]map[string]any // by operation and status, such as "GET /api/v1/status 200"
	schemas *jsonschema.Compiler
	seen    map[string]bool
	guarded map[string]bool // by operation, whether it has a security requirement
}

func readDescription(t testing.TB) *described {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal(description, &doc); err != nil {
		t.Fatal(err)
	}
	d := &described{doc: doc, inputs: map[string]string{}, answers: map[string]map[string]any{}, schemas: jsonschema.NewCompiler(), seen: map[string]bool{}, guarded: map[string]bool{}}
	for path, item := range object(doc, "paths") {
		for method := range item.(map[string]any) {
			d.readInputs(path, method, item)
			responses := object(item, method, "responses") // none of parameters
			if len(responses) > 0 {
				d.guarded[strings.ToUpper(method)+" "+path] = object(item, method)["security"] != nil
			}
			for status, answer := range responses {
				if ref, ok := object(answer)["$ref"].(string); ok {
					answer = object(doc, "components", "responses", ref[strings.LastIndex(ref, "/")+1:])
					responses[status] = answer
				}
				d.answers[fmt.Sprintf("%s %s %s", strings.ToUpper(method), path, status)] = object(answer)
			}
		}
	}
	closeObjects(doc)
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource("openapi.yaml", asJSON(t, doc)); err != nil {
		t.Fatal(err)
	}
	return d
}

// readInputs takes in what a request of an operation may have: a query's names after a
// question mark, and its body's after a dot.
func (d *described) readInputs(path, method string, item any) {
	operation, pointer := strings.ToUpper(method)+" "+path, "/paths/"+escape(path)+"/"+method
	parameters, _ := object(item, method)["parameters"].([]any)
	for n, parameter := range parameters {
		at := fmt.Sprintf("%s/parameters/%d", pointer, n)
		if ref, ok := object(parameter)["$ref"].(string); ok {
			at = strings.TrimPrefix(ref, "#")
			parameter = object(d.doc, strings.Split(at[1:], "/")...)
		}
		if name, ok := object(parameter)["name"].(string); ok && object(parameter)["in"] == "query" {
			d.inputs[operation+" ?"+name] = at + "/schema"
		}
	}
	body := []string{"requestBody", "content", "application/json", "schema"}
	d.readProperties(operation, pointer+"/requestBody/content/"+escape("application/json")+"/schema", object(object(item, method), body...))
}

// readProperties takes in the properties of a schema and of those that it is made of.
func (d *described) readProperties(operation, at string, schema map[string]any) {
	if ref, ok := schema["$ref"].(string); ok {
		at = strings.TrimPrefix(ref, "#")
		d.readProperties(operation, at, object(d.doc, strings.Split(at[1:], "/")...))
		return
	}
	parts, _ := schema["allOf"].([]any)
	for n, part := range parts {
		d.readProperties(operation, fmt.Sprintf("%s/allOf/%d", at, n), object(part))
	}
	for name := range object(schema, "properties") {
		d.inputs[operation+" ."+name] = at + "/properties/" + name
	}
}

// checkInputs holds what was understood in a request against what may be in one.
func (d *described) checkInputs(t *testing.T, c call) {
	t.Helper()
	operation := c.method + " " + apiPrefix + c.path
	query, err := url.ParseQuery(strings.TrimPrefix(c.args, "?"))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range query {
		text, err := json.Marshal(values[0])
		if _, isNumber := strconv.Atoi(values[0]); isNumber == nil {
			text = []byte(values[0])
		}
		if err != nil {
			t.Fatal(err)
		}
		d.checkInput(t, operation+" ?"+name, text)
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal([]byte(cmp.Or(c.body, "{}")), &body); err != nil {
		t.Fatal(err)
	}
	for name, text := range body {
		d.checkInput(t, operation+" ."+name, text)
	}
}

func (d *described) checkInput(t *testing.T, input string, text []byte) {
	t.Helper()
	pointer, ok := d.inputs[input]
	if !ok {
		t.Errorf("%s is understood and not described", input)
		return
	}
	d.seen[input] = true
	d.validate(t, input, pointer, text)
}

// asJSON is a document of YAML as the validator wants it.
func asJSON(t testing.TB, doc any) any {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// testdata/openapi-3.1.json is the OpenAPI Initiative's schema of 2022-10-07.
func TestDescriptionIsOpenAPI(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := yaml.Unmarshal(description, &doc); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(asJSON(t, doc)); err != nil {
		t.Error(err)
	}
}

// object is the object below node at a path; empty if there is none.
func object(node any, path ...string) map[string]any {
	for _, name := range path {
		inside, _ := node.(map[string]any)
		node = inside[name]
	}
	found, _ := node.(map[string]any)
	return found
}

// closeObjects lets no object have a property that is not described.
func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, open := node["additionalProperties"]; node["properties"] != nil && !open {
			node["additionalProperties"] = false
		}
		for _, inside := range node {
			closeObjects(inside)
		}
	case []any:
		for _, inside := range node {
			closeObjects(inside)
		}
	}
}

// check holds an answer against what is said of it. path is the route's, with its
// parameters' names.
func (d *described) check(t *testing.T, method, path string, response *http.Response, body []byte) {
	t.Helper()
	operation := fmt.Sprintf("%s %s%s %d", method, apiPrefix, path, response.StatusCode)
	answer := d.answers[operation]
	if answer == nil {
		t.Errorf("%s is not described: %s", operation, body)
		return
	}
	d.seen[operation] = true
	for name := range object(answer, "headers") {
		if response.Header.Get(name) == "" {
			t.Errorf("%s has no %s", operation, name)
		}
	}
	media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if content := object(answer, "content"); (content[media] == nil) != (len(body) == 0) {
		t.Errorf("%s is %q, described is %v: %s", operation, media, content, body)
	}
	if strings.HasSuffix(media, "json") {
		d.validate(t, operation, fmt.Sprintf("/paths/%s/%s/responses/%d/content/%s/schema",
			escape(apiPrefix+path), strings.ToLower(method), response.StatusCode, escape(media)), body)
	}
}

func (d *described) validate(t *testing.T, operation, pointer string, body []byte) {
	t.Helper()
	schema, err := d.schemas.Compile("openapi.yaml#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v: %s", operation, err, body)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v\n%s", operation, err, body)
	}
}

// escape is for a token of a JSON pointer in a URL (RFC 6901, sections 3 and 6).
func escape(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(token)
}

// Every route, each of its answers, and what it is asked by, is described and nothing else
// is, and all are as described. Whoever adds a route adds its calls here.
func TestDescription(t *testing.T) {
	d, calls := readDescription(t), slices.Clone(calls)
	routes := map[string]bool{}
	for _, one := range wholeAPI(nil).routes() {
		operation := one.method + " " + apiPrefix + one.path
		routes[operation] = true
		if one.guarded != d.guarded[operation] {
			t.Errorf("%s: guarded is %v, described as %v", operation, one.guarded, d.guarded[operation])
		}
	}
	for operation := range d.answers {
		if operation = operation[:strings.LastIndex(operation, " ")]; !routes[operation] {
			t.Errorf("%s is described and no route", operation)
		}
	}
	for _, one := range wholeAPI(nil).routes() { // whichever it is
		calls = append(calls, call{method: one.method, path: one.path, token: "secret", beyond: true, status: 401})
	}
	for _, one := range calls {
		t.Run(fmt.Sprintf("%s %s %d", one.method, one.path, one.status), func(t *testing.T) { one.run(t, d) })
	}
	for operation := range d.answers {
		if !d.seen[operation] {
			t.Errorf("%s is described and never answered", operation)
		}
	}
	for input := range d.inputs {
		if !d.seen[input] {
			t.Errorf("%s is described and never asked", input)
		}
	}
	for operation := range routes {
		if !d.seen[operation+" 200"] && !d.seen[operation+" 201"] && !d.seen[operation+" 202"] && !d.seen[operation+" 204"] {
			t.Errorf("%s is a route without a call that succeeds", operation)
		}
	}
}

package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Where the schemas come from that manifests are held against: Kubernetes' own
// OpenAPI documents, and the custom resources of the Prometheus operator. Neither is a
// dependency: they are fetched as modules and only read. The oldest Kubernetes is the one
// that Chart.yaml asks for.
const (
	oldestKubernetes   = "k8s.io/kubernetes@v1.27.16"
	newestKubernetes   = "k8s.io/kubernetes@v1.37.2"
	prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
)

// openAPIs are Kubernetes' documents, and the kinds that are taken from each.
var openAPIs = map[string][]string{
	"api__v1_openapi.json":                     {"ConfigMap", "Pod", "Service", "ServiceAccount"},
	"apis__apps__v1_openapi.json":              {"StatefulSet"},
	"apis__policy__v1_openapi.json":            {"PodDisruptionBudget"},
	"apis__networking.k8s.io__v1_openapi.json": {"Ingress", "NetworkPolicy"},
}

var customResources = []string{"servicemonitors", "prometheusrules"}

// goTool finds a program that go install brings.
func goTool(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, name+" is not here (go install "+install+")")
	}
	return path
}

// moduleDir fetches a module and returns where it is.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // this module's go.mod is not asked
	out, err := cmd.Output()
	var fetched struct{ Dir, Error string }
	if parsed := json.Unmarshal(out, &fetched); err != nil || parsed != nil || fetched.Dir == "" {
		unavailable(t, "module "+module+" not to be had: "+fetched.Error)
	}
	return fetched.Dir
}

// kubernetesSchemas writes a JSON schema for each kind that the chart makes, as that
// Kubernetes has it and kubeconform looks for it, and returns the schema location.
func kubernetesSchemas(t *testing.T, kubernetes string) string {
	t.Helper()
	dir := t.TempDir()
	documents := filepath.Join(moduleDir(t, kubernetes), "api/openapi-spec/v3")
	for file, kinds := range openAPIs {
		var document struct {
			Components struct{ Schemas map[string]any }
		}
		text := strings.ReplaceAll(readFile(t, filepath.Join(documents, file)), "#/components/schemas/", "#/definitions/")
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		forbidUnknown(document.Components.Schemas)
		for _, kind := range kinds {
			writeKind(t, dir, kind, document.Components.Schemas)
		}
	}
	crds := filepath.Join(moduleDir(t, prometheusOperator), "example/prometheus-operator-crd")
	for _, name := range customResources {
		writeCustomResource(t, dir, filepath.Join(crds, "monitoring.coreos.com_"+name+".yaml"))
	}
	return dir + "/{{.ResourceKind}}{{.KindSuffix}}.json"
}

// writeKind writes the schema of the one definition that is of that kind, with all
// that it may refer to.
func writeKind(t *testing.T, dir, kind string, definitions map[string]any) {
	t.Helper()
	for name, definition := range definitions {
		var d struct {
			Kinds []struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
		}
		text, _ := json.Marshal(definition)
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		if len(d.Kinds) != 1 || d.Kinds[0].Kind != kind {
			continue
		}
		group, _, _ := strings.Cut(d.Kinds[0].Group, ".")
		writeSchema(t, dir, kind, group, d.Kinds[0].Version, map[string]any{
			"allOf": []any{map[string]any{"$ref": "#/definitions/" + name}}, "definitions": definitions,
		})
		return
	}
	t.Fatalf("no definition of the kind %s", kind)
}

func writeCustomResource(t *testing.T, dir, file string) {
	t.Helper()
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPI map[string]any `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(readFile(t, file)), &crd); err != nil {
		t.Fatal(err)
	}
	group, _, _ := strings.Cut(crd.Spec.Group, ".")
	for _, version := range crd.Spec.Versions {
		forbidUnknown(version.Schema.OpenAPI)
		writeSchema(t, dir, crd.Spec.Names.Kind, group, version.Name, version.Schema.OpenAPI)
	}
}

func writeSchema(t *testing.T, dir, kind, group, version string, schema map[string]any) {
	t.Helper()
	name := strings.Trim(kind+"-"+group, "-") + "-" + version + ".json"
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ToLower(name)), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// forbidUnknown makes schemas as strict as kubectl is: what an object does not name,
// it may not have.
func forbidUnknown(node any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			forbidUnknown(child)
		}
	case map[string]any:
		_, named := node["properties"].(map[string]any)
		if _, said := node["additionalProperties"]; named && !said && node["x-kubernetes-preserve-unknown-fields"] != true {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			forbidUnknown(child)
		}
	}
}

// kubeconform holds manifests against the schemas, and returns what it objects to.
func kubeconform(t *testing.T, schemas, manifests string) (string, error) {
	t.Helper()
	cmd := exec.Command(goTool(t, "kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"),
		"-strict", "-summary", "-schema-location", schemas, "-")
	cmd.Stdin = strings.NewReader(manifests)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// object is a Kubernetes object, or a part of one.
type object map[string]any

// at follows names through objects; nil where there is nothing.
func (o object) at(path ...string) any {
	var node any = map[string]any(o)
	for _, name := range path {
		m, _ := node.(map[string]any)
		node = m[name]
	}
	return node
}

func (o object) text(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

func (o object) object(path ...string) object {
	m, _ := o.at(path...).(map[string]any)
	return m
}

func (o object) list(path ...string) (list []object) {
	items, _ := o.at(path...).([]any)
	for _, item := range items {
		m, _ := item.(map[string]any)
		list = append(list, m)
	}
	return list
}

// includes reports whether all of other's entries are o's, as of labels and a selector.
func (o object) includes(other object) bool {
	for name, value := range other {
		if o[name] != value {
			return false
		}
	}
	return len(other) > 0
}

// objects reads a stream of manifests.
func objects(t *testing.T, manifests string) (list []object) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(manifests))
	for {
		var o map[string]any
		if err := decoder.Decode(&o); err != nil {
			if err.Error() == "EOF" {
				return list
			}
			t.Fatalf("%v in:\n%s", err, manifests)
		}
		if o != nil {
			list = append(list, o)
		}
	}
}

// ofKind is the one object of a kind whose name ends so.
func ofKind(t *testing.T, list []object, kind, suffix string) object {
	t.Helper()
	found := slices.DeleteFunc(slices.Clone(list), func(o object) bool {
		return o.text("kind") != kind || !strings.HasSuffix(o.text("metadata", "name"), suffix)
	})
	if len(found) != 1 {
		t.Fatalf("%d objects %s *%s, want 1", len(found), kind, suffix)
	}
	return found[0]
}

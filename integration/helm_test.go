package integration

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/zenduty-bridge/zenduty-bridge/config"
)

const chart = "../deployments/helm/zenduty-bridge"

// helmValues are the values that the chart is tried with.
var helmValues = []string{"minimal", "single", "full"}

// helm runs Helm, which sees nothing of what its user has set up.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(goTool(t, "helm", "helm.sh/helm/v4/cmd/helm@v4.3.1"), args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+home+"/none")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// template renders the chart with one of helmValues, and more arguments.
func template(t *testing.T, values string, args ...string) string {
	t.Helper()
	out, err := helm(t, append([]string{"template", "zb", chart, "--namespace", "pager", "-f", "testdata/helm/" + values + ".yaml"}, args...)...)
	if err != nil {
		t.Fatalf("helm template with %s: %v\n%s", values, err, out)
	}
	return out
}

// eachRendering calls check with what the chart makes of each of helmValues.
func eachRendering(t *testing.T, check func(t *testing.T, list []object)) {
	for _, values := range helmValues {
		t.Run(values, func(t *testing.T) { check(t, objects(t, template(t, values))) })
	}
}

func TestHelmLint(t *testing.T) {
	for _, values := range helmValues {
		if out, err := helm(t, "lint", "--strict", chart, "-f", "testdata/helm/"+values+".yaml"); err != nil || strings.Contains(out, "[WARNING]") {
			t.Errorf("%s: %v\n%s", values, err, out)
		}
	}
}

// All that is rendered is what Kubernetes, the oldest and the newest, and the Prometheus
// operator know, and a field that they do not know would be seen.
func TestHelmManifestsConform(t *testing.T) {
	schemas := ""
	for _, kubernetes := range []string{oldestKubernetes, newestKubernetes} {
		schemas = kubernetesSchemas(t, kubernetes)
		for _, values := range helmValues {
			out, err := kubeconform(t, schemas, template(t, values))
			t.Log(kubernetes, values, out)
			if err != nil || !strings.Contains(out, "Skipped: 0") {
				t.Errorf("%s: %s: %v", kubernetes, values, err)
			}
		}
	}
	_, oldest, _ := strings.Cut(oldestKubernetes, "@v")
	asked := regexp.MustCompile(`(?m)^kubeVersion: ">=(\d+\.\d+\.)0-0"$`).FindStringSubmatch(readFile(t, chart+"/Chart.yaml"))
	if asked == nil || !strings.HasPrefix(oldest, asked[1]) {
		t.Errorf("Chart.yaml asks for %q, and the oldest Kubernetes here is %s", asked, oldest)
	}
	for _, field := range []string{"podManagementPolicy", "readOnlyRootFilesystem", "maxUnavailable", "relabelings", "policyTypes", "expr"} {
		wrong := regexp.MustCompile(`(?m)^([ -]*)`+field+`:`).ReplaceAllString(template(t, "full"), "${1}"+field+"s:")
		if out, err := kubeconform(t, schemas, wrong); err == nil || !strings.Contains(out, field+"s") {
			t.Errorf("%ss for %s was not seen: %v\n%s", field, field, err, out)
		}
	}
}

// podOf is the pod of what runs one.
func podOf(o object) object {
	switch o.text("kind") {
	case "Pod":
		return o.object("spec")
	case "StatefulSet":
		return o.object("spec", "template", "spec")
	}
	return nil
}

// Every pod is within Pod Security Standard "restricted", and a little below.
func TestHelmPodsAreRestricted(t *testing.T) {
	eachRendering(t, func(t *testing.T, list []object) {
		pods := 0
		for _, o := range list {
			if p := podOf(o); p != nil {
				pods++
				checkRestricted(t, p)
			}
		}
		if pods != 2 {
			t.Errorf("%d pods, want the bridge's and the test's", pods)
		}
	})
}

func checkRestricted(t *testing.T, pod object) {
	t.Helper()
	want := object{"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": map[string]any{"type": "RuntimeDefault"}}
	for name, value := range want {
		if diff := cmp.Diff(value, pod.at("securityContext", name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, name := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if pod[name] != nil {
			t.Errorf("%s: %v", name, pod[name])
		}
	}
	if pod["automountServiceAccountToken"] != false {
		t.Error("the pod gets a token")
	}
	for _, c := range pod.list("containers") {
		want := object{
			"allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
			"capabilities": map[string]any{"drop": []any{"ALL"}},
		}
		if diff := cmp.Diff(want, c.object("securityContext")); diff != "" {
			t.Error(diff)
		}
		if c.at("resources", "limits", "memory") == nil {
			t.Error("no limit to its memory")
		}
		if _, tag, _ := strings.Cut(path.Base(c.text("image")), ":"); tag == "" || tag == "latest" {
			t.Errorf("image %s has no tag that pins it", c.text("image"))
		}
	}
	for _, v := range pod.list("volumes") {
		if v["configMap"] == nil && v["projected"] == nil {
			t.Errorf("a volume of another sort: %v", v)
		}
	}
}

// mounted puts a text, its own name, in a file for each entry of a Secret that the pod
// mounts, as the cluster would, a certificate where one belongs, and returns the
// ConfigMap's bridge.yaml with its directories replaced.
func mounted(t *testing.T, list []object) (file string) {
	t.Helper()
	pod := podOf(ofKind(t, list, "StatefulSet", ""))
	volumes, dirs := map[string]object{}, map[string]string{}
	for _, v := range pod.list("volumes") {
		volumes[v.text("name")] = v
	}
	for _, m := range pod.list("containers")[0].list("volumeMounts") {
		dirs[m.text("name")] = m.text("mountPath")
	}
	secrets, pair := t.TempDir(), newPair(t, time.Hour)
	texts := map[string]string{"tls.crt": readFile(t, pair.cert), "tls.key": readFile(t, pair.key)}
	for _, source := range volumes["secrets"].list("projected", "sources") {
		for _, item := range source.list("secret", "items") {
			text, ok := texts[item.text("key")]
			if !ok {
				text = source.text("secret", "name") + "/" + item.text("key") + "\n"
			}
			if err := os.WriteFile(filepath.Join(secrets, item.text("path")), []byte(text), 0o400); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := ofKind(t, list, "ConfigMap", "").text("data", "bridge.yaml")
	file = filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, dirs["secrets"]+"/", secrets+"/")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// loadRendered reads the rendered configuration as the bridge does.
func loadRendered(t *testing.T, list []object) config.Config {
	t.Helper()
	file := mounted(t, list)
	c, err := config.Load(config.Flags{Config: &file}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, readFile(t, file))
	}
	return c
}

// The configuration is one that the bridge takes, with the secrets that the pod
// mounts, and fits what Kubernetes is told of it.
func TestHelmConfiguration(t *testing.T) {
	eachRendering(t, func(t *testing.T, list []object) {
		c := loadRendered(t, list)
		if c.Listen != ":8080" || c.AdminListen != ":8081" || c.DataDir != "/data" {
			t.Errorf("listens on %s and %s, writes to %s", c.Listen, c.AdminListen, c.DataDir)
		}
		set := ofKind(t, list, "StatefulSet", "")
		grace, _ := podOf(set).at("terminationGracePeriodSeconds").(int)
		if granted := time.Duration(grace) * time.Second; granted < stopsWithin(c) {
			t.Errorf("it is killed after %v, and may take %v", granted, stopsWithin(c))
		}
		ports := map[string]any{}
		for _, p := range podOf(set).list("containers")[0].list("ports") {
			ports[p.text("name")] = p["containerPort"]
		}
		if diff := cmp.Diff(map[string]any{"http": 8080, "admin": 8081}, ports); diff != "" {
			t.Error(diff)
		}
	})
}

// What the values say is in the configuration, with each secret where it belongs.
func TestHelmFullConfiguration(t *testing.T) {
	list := objects(t, template(t, "full"))
	c := loadRendered(t, list)
	keys := c.Sources["zenduty"].Keys
	if len(keys) != 2 || keys[0].Name != "current" || keys[1].Name != "previous" {
		t.Fatalf("source zenduty is %+v", c.Sources["zenduty"])
	}
	secrets := []config.Secret{keys[0].Key, keys[1].Key, c.Sources["zenduty"].BasicAuth.Password, c.Sources["other"].Keys[0].Key}
	for i, want := range []string{"zenduty-2026/signing-key", "zenduty-2025/signing-key", "zenduty-2026/password", "other/key"} {
		if got := secrets[i].Reveal(); got != want {
			t.Errorf("%s is where %s belongs", got, want)
		}
	}
	if s := c.Sources["zenduty"]; s.MaxAge != 36*time.Hour || len(s.Allow) != 3 || keys[0].NotBefore.Year() != 2026 || keys[1].NotAfter.Year() != 2999 {
		t.Errorf("source zenduty is %+v", s)
	}
	if c.Ingress.LameDuck != 20*time.Second || c.Relay.Window != 8192 || c.NATS.Stream.Name != "PAGER" || c.NATS.Stream.DuplicateWindow != time.Hour ||
		c.Audit.CanaryInterval != 5*time.Minute || c.Services[fixtureService] != "checkout" {
		t.Errorf("%+v", c)
	}
	if c.NATS.CredentialsFile == "" || c.NATS.TLS.CAFile == "" || c.NATS.TLS.CertFile == "" || c.NATS.TLS.KeyFile == "" {
		t.Errorf("%+v", c.NATS)
	}
	if c.TLS.CertFile == "" || c.TLS.KeyFile == "" {
		t.Errorf("%+v", c.TLS)
	}
	env := podOf(ofKind(t, list, "StatefulSet", "")).list("containers")[0].list("env")
	if !slices.ContainsFunc(env, func(v object) bool { return v["name"] == "ZENDUTY_BRIDGE_ADMIN_TOKEN_FILE" }) {
		t.Errorf("no admin token in %v", env)
	}
}

// No secret passes through the chart: it makes none, and mounts entries by name.
func TestHelmSecretsAreReferences(t *testing.T) {
	eachRendering(t, func(t *testing.T, list []object) {
		for _, o := range list {
			if o.text("kind") == "Secret" {
				t.Errorf("the chart makes the Secret %s", o.text("metadata", "name"))
			}
		}
		text := ofKind(t, list, "ConfigMap", "").text("data", "bridge.yaml")
		if match := regexp.MustCompile(`(?m)^[ -]*(key|password|token|admin_token): .*`).FindString(text); match != "" {
			t.Errorf("the ConfigMap holds %s", match)
		}
	})
}

// The rendered configuration and the pod's arguments carry webhooks, by HTTP and HTTPS.
func TestHelmConfigurationRuns(t *testing.T) {
	for scheme, secret := range map[string]string{"http": "", "https": "pager-tls"} {
		t.Run(scheme, func(t *testing.T) {
			n := startNATS(t)
			list := objects(t, template(t, "minimal", "--set", "nats.url="+n.url(), "--set", "config.nats.stream.replicas=1",
				"--set", "config.audit.canary_interval=0s", "--set", "tlsSecret="+secret))
			if args := podOf(ofKind(t, list, "StatefulSet", "")).list("containers")[0].at("args"); cmp.Diff([]any{"serve"}, args) != "" {
				t.Errorf("arguments %v", args)
			}
			b := startBridge(t, t.TempDir(), "--config", mounted(t, list))
			if !strings.HasPrefix(b.url, scheme+"://") {
				t.Errorf("webhooks are taken at %s", b.url)
			}
			journey(t, b)
		})
	}
}

// The Service's port says what is spoken on it, and the Ingress leads to it.
func TestHelmWebhookPort(t *testing.T) {
	for name, secret := range map[string]string{"http": "", "https": "pager-tls"} {
		list := objects(t, template(t, "full", "--set", "tlsSecret="+secret))
		for _, port := range ofKind(t, list, "Service", "pager").list("spec", "ports") {
			if port["name"] != name || port["targetPort"] != "http" {
				t.Errorf("with tlsSecret %q the port is %v", secret, port)
			}
		}
		path := ofKind(t, list, "Ingress", "").list("spec", "rules")[0].list("http", "paths")[0]
		if got := path.text("backend", "service", "port", "name"); got != name {
			t.Errorf("with tlsSecret %q the Ingress leads to the port %s", secret, got)
		}
	}
}

// Selectors find the bridges and nothing else.
func TestHelmSelectors(t *testing.T) {
	eachRendering(t, func(t *testing.T, list []object) {
		set := ofKind(t, list, "StatefulSet", "")
		bridge, test := set.object("spec", "template", "metadata", "labels"), ofKind(t, list, "Pod", "-test").object("metadata", "labels")
		for _, o := range list {
			selectors := map[string]object{
				"Service": o.object("spec", "selector"), "StatefulSet": o.object("spec", "selector", "matchLabels"),
				"PodDisruptionBudget": o.object("spec", "selector", "matchLabels"), "NetworkPolicy": o.object("spec", "podSelector", "matchLabels"),
			}
			if selector, ok := selectors[o.text("kind")]; ok && (!bridge.includes(selector) || test.includes(selector)) {
				t.Errorf("%s %s selects %v", o.text("kind"), o.text("metadata", "name"), selector)
			}
		}
		if name := set.text("spec", "serviceName"); ofKind(t, list, "Service", "-headless").text("metadata", "name") != name {
			t.Errorf("no Service %s", name)
		}
	})
}

// Webhooks from anybody, the admin port from few, and nothing else in or out.
func TestHelmNetworkPolicy(t *testing.T) {
	policy := networkPolicy(t)
	if diff := cmp.Diff([]any{"Ingress", "Egress"}, policy.at("spec", "policyTypes")); diff != "" {
		t.Error(diff)
	}
	ports := func(direction string) (list []any) {
		for _, rule := range policy.list("spec", direction) {
			for _, p := range rule.list("ports") {
				list = append(list, p["port"])
				if p["port"] == "admin" && len(rule.list("from")) != 2 {
					t.Errorf("the admin port is open to %v", rule["from"])
				}
			}
		}
		return list
	}
	if diff := cmp.Diff([]any{"http", "admin"}, ports("ingress")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{53, 53, 4222}, ports("egress")); diff != "" {
		t.Error(diff)
	}
}

func networkPolicy(t *testing.T, args ...string) object {
	t.Helper()
	return ofKind(t, objects(t, template(t, "minimal", args...)), "NetworkPolicy", "")
}

// NATS is reached on the ports of its URL, unless others are named.
func TestHelmNATSPorts(t *testing.T) {
	for _, test := range []struct {
		set  string
		want []any
	}{
		{`nats.url=nats://a:4333`, []any{4333}},
		{`nats.url=tls://a:4333\, nats://b\,nats://c:4333\,`, []any{4333, 4222}},
		{`nats.url=ws://[::1]\,wss://a`, []any{80, 443}},
		{`nats.url=nats://a:4333,networkPolicy.natsPorts={4222,4223}`, []any{4222, 4223}},
	} {
		rules := networkPolicy(t, "--set", test.set).list("spec", "egress")
		var got []any
		for _, p := range rules[1].list("ports") {
			got = append(got, p["port"])
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("--set %s: %s", test.set, diff)
		}
	}
}

// Prometheus finds each bridge's metrics, in a job of the name that the alerts go by;
// and the alerts are those of deployments/prometheus.
func TestHelmMonitoring(t *testing.T) {
	list := objects(t, template(t, "full"))
	monitor := ofKind(t, list, "ServiceMonitor", "")
	endpoint := monitor.list("spec", "endpoints")[0]
	headless := ofKind(t, list, "Service", "-headless")
	if !headless.object("metadata", "labels").includes(monitor.object("spec", "selector", "matchLabels")) ||
		!slices.ContainsFunc(headless.list("spec", "ports"), func(p object) bool { return p["name"] == endpoint["port"] }) {
		t.Errorf("%v does not lead to %v", monitor["spec"], headless)
	}
	job := ""
	for _, r := range endpoint.list("relabelings") {
		if r["targetLabel"] == "job" {
			job = r.text("replacement")
		}
	}
	rules := readFile(t, "../deployments/prometheus/rules.yml")
	for _, match := range regexp.MustCompile(`job=~"([^"]*)"`).FindAllStringSubmatch(rules, -1) {
		if !regexp.MustCompile("^(?:" + match[1] + ")$").MatchString(job) {
			t.Errorf("the job %q is not one that %s matches", job, match[0])
		}
	}
	if readFile(t, chart+"/files/rules.yml") != rules {
		t.Error("the chart's files/rules.yml is not deployments/prometheus/rules.yml: copy it there")
	}
	var want map[string]any
	if err := yaml.Unmarshal([]byte(rules), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, map[string]any(ofKind(t, list, "PrometheusRule", "").object("spec"))); diff != "" {
		t.Error(diff)
	}
}

// helmRefusals are values that cannot work, and a part of what Helm says of each.
var helmRefusals = []struct{ set, message string }{
	{"image.repository=", "image.repository is missing: build the image"},
	{"nats.url=", "nats.url is missing: name the NATS servers"},
	{"nats.url=nats://user:secret@nats:4222", "/nats/url"},
	{"nats.url=http://nats:4222", "/nats/url"},
	{"replicas=0", "/replicas"},
	{"replica=3", "'replica' not allowed"},
	{"image.tga=v1", "'tga' not allowed"},
	{"sources.zenduty.signature=off", "/sources/zenduty/signature"},
	{"sources.zenduty.keys=", "/sources/zenduty/keys"},
	{"sources.zenduty.keys[0].key=literal", "'key' not allowed"},
	{"sources.Zenduty.signature=none", "invalid propertyName 'Zenduty'"},
	{"nats.auth.password=literal", "/nats/auth/password"},
	{"nats.auth.user=bridge", "password"},
	{"adminToken.token=literal", "/adminToken"},
	{"config.admin_token=literal", "config.admin_token is set by the chart: name an entry of a Secret in adminToken"},
	{"config.nats.token=literal", "config.nats.token is set by the chart: use nats.url, nats.auth and nats.tls"},
	{"config.data_dir=/tmp", "config.data_dir is set by the chart: it is the volume"},
	{"config.sources.zenduty.signature=none", "config.sources is set by the chart"},
	{"config.ingress.lame_duck=1m", "config.ingress.lame_duck is set by the chart: use lameDuckSeconds"},
	{"config.tls.cert_file=/cert.pem", "config.tls is set by the chart: name a Secret of type kubernetes.io/tls in tlsSecret"},
	{"config.acme.domains=bridge.example.com", "config.acme is nothing for this chart: the authority would ask"},
	{"config.admin_tls.cert_file=/cert.pem", "config.admin_tls is nothing for this chart: the admin port is plain HTTP"},
	{"config.admin_ca_file=/ca.pem", "config.admin_ca_file is nothing for this chart: the admin port is plain HTTP"},
	{"tlsSecret.name=pager-tls", "/tlsSecret"},
	{"lameDuckSeconds=0", "/lameDuckSeconds"},
	{"persistence.accessModes[0]=ReadWriteMany", "/persistence/accessModes/0"},
	{"persistence.size=lots", "/persistence/size"},
	{"ingress.enabled=true", "/ingress/host"},
	{"service.sessionAffinity=Cookie", "/service/sessionAffinity"},
	{"networkPolicy.natsPorts[0]=99999", "/networkPolicy/natsPorts/0"},
}

func TestHelmRefusesBadValues(t *testing.T) {
	for _, bad := range helmRefusals {
		out, err := helm(t, "template", "zb", chart, "-f", "testdata/helm/minimal.yaml", "--set", bad.set)
		if err == nil || !strings.Contains(out, bad.message) {
			t.Errorf("--set %s: %v, want %q in:\n%.600s", bad.set, err, bad.message, out)
		}
	}
	out, err := helm(t, "template", "zb", chart, "-f", "testdata/helm/minimal.yaml",
		"--set", "nats.auth.token.name=a,nats.auth.token.key=b,nats.auth.nkeySeed.name=a,nats.auth.nkeySeed.key=b")
	if err == nil || !strings.Contains(out, "nats.auth has nkeySeed and token: keep one way to authenticate") {
		t.Errorf("two ways to authenticate: %v\n%.600s", err, out)
	}
}

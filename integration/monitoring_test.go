package integration

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeFile is what the tests read of docker-compose.yml.
type composeFile struct {
	Services map[string]struct {
		Command     []string
		Environment map[string]string
		Volumes     []string
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readFile(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func readCompose(t *testing.T) (c composeFile) {
	t.Helper()
	readYAML(t, "../docker-compose.yml", &c)
	return c
}

// root lays out what Compose mounts into a container from here, and returns its root.
func (c composeFile) root(t *testing.T, service string) string {
	t.Helper()
	root := t.TempDir()
	for _, volume := range c.Services[service].Volumes {
		parts := strings.Split(volume, ":")
		if !strings.HasPrefix(parts[0], "./") {
			continue // a volume of its own
		}
		if len(parts) != 3 || parts[2] != "ro" {
			t.Errorf("%s: %s is not mounted read-only", service, volume)
		}
		copyTo(t, filepath.Join("..", parts[0]), filepath.Join(root, parts[1]))
	}
	return root
}

// copyTo copies a file, or a directory and what is in it.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rest, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, []byte(readFile(t, file)), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Where Compose mounts it, Prometheus finds its configuration and the rules that this names,
// and scrapes the bridge where that listens.
func TestComposePrometheus(t *testing.T) {
	c := readCompose(t)
	var config string
	for _, flag := range c.Services["prometheus"].Command {
		if file, ok := strings.CutPrefix(flag, "--config.file="); ok {
			config = filepath.Join(c.root(t, "prometheus"), file)
		}
	}
	var scrape struct {
		Configs []struct {
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, config, &scrape)
	_, port, _ := strings.Cut(c.Services["bridge"].Environment["ZENDUTY_BRIDGE_ADMIN_LISTEN"], ":")
	if got, want := scrape.Configs[0].Static[0].Targets, []string{"bridge:" + port}; !slices.Equal(got, want) {
		t.Errorf("Prometheus scrapes %v, want %v", got, want)
	}
	promtool(t, "", "check", "config", config)
}

// Where Compose mounts them, Grafana finds its datasource, which is the one that the dashboard
// asks for and Compose's Prometheus, and the dashboard, which is its home.
func TestComposeGrafana(t *testing.T) {
	c := readCompose(t)
	root := c.root(t, "grafana")
	var provided struct {
		Datasources []struct {
			UID, Type, URL string
			JSONData       struct { // Grafana's spelling
				TimeInterval string `yaml:"timeInterval"`
			} `yaml:"jsonData"`
		}
		Providers []struct{ Options struct{ Path string } }
	}
	for _, kind := range []string{"datasources", "dashboards"} {
		files, err := filepath.Glob(filepath.Join(root, "etc/grafana/provisioning", kind, "*.yml"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%d files of %s: %v", len(files), kind, err)
		}
		readYAML(t, files[0], &provided)
	}
	var prometheus struct {
		Global struct {
			Interval string `yaml:"scrape_interval"`
		}
	}
	readYAML(t, prometheusDir+"prometheus.yml", &prometheus)
	source, asked := provided.Datasources[0], readDashboard(t).Templating.List[0]
	if source.UID != asked.Current.Value || source.Type != asked.Query || source.JSONData.TimeInterval != prometheus.Global.Interval {
		t.Errorf("the datasource is %+v, the dashboard asks for %+v, and Prometheus scrapes every %s", source, asked, prometheus.Global.Interval)
	}
	if at, err := url.Parse(source.URL); err != nil || len(c.Services[at.Hostname()].Command) == 0 || at.Port() != "9090" {
		t.Errorf("%s is not where Compose's Prometheus listens: %v", source.URL, err)
	}
	home := c.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if dir := provided.Providers[0].Options.Path; filepath.Dir(home) != dir || readFile(t, filepath.Join(root, home)) != readFile(t, dashboardFile) {
		t.Errorf("%s, below %s, is not the dashboard", home, dir)
	}
}

package integration

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const dashboardFile = "../deployments/grafana/dashboards/zenduty-bridge.json"

// dashboard is what the tests read of the dashboard's JSON.
type dashboard struct {
	Panels      []panel
	Templating  struct{ List []variable }
	Annotations struct{ List []struct{ Expr string } }
}

// variable is what the dashboard's panels can be narrowed to.
type variable struct {
	Name, Type, Definition string
	Query                  any
	Current                struct{ Value any }
}

type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  struct{ UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		Expr, RefID string
		Exemplar    bool
	}
}

// named is the first panel of that title.
func (d *dashboard) named(t *testing.T, title string) panel {
	t.Helper()
	i := slices.IndexFunc(d.Panels, func(p panel) bool { return p.Title == title })
	if i < 0 {
		t.Fatalf("the dashboard has no panel %s", title)
	}
	return d.Panels[i]
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readFile(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The dashboard is laid out without gaps, and each panel says what it shows and asks
// the datasource that was chosen.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	if diff := cmp.Diff([]string{"datasource", "instance", "source"}, variables); diff != "" {
		t.Error(diff)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	bottom := 0
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("%s: id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Description == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0) {
			t.Errorf("%s: no description, no query, or not of ${datasource}", p.Title)
		}
		for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
	}
	if len(cells) != 24*bottom {
		t.Errorf("of 24 x %d cells %d are used", bottom, len(cells))
	}
}

// Each histogram whose exemplars name a trace shows them in one panel, and no other is
// asked for any.
func TestDashboardShowsExemplars(t *testing.T) {
	var asked []string
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			if target.Exemplar {
				asked = append(asked, regexp.MustCompile(`zenduty_bridge_(\w+)_bucket`).FindStringSubmatch(target.Expr)[1])
			}
		}
	}
	slices.Sort(asked)
	want := slices.Sorted(slices.Values(tracedHistograms))
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

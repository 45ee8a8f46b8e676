package integration

import (
	"encoding/json"
	"testing"
)

const dashboardFile = "../deployments/grafana/dashboards/zenduty-bridge.json"

// dashboard is what the tests read of the dashboard's JSON.
type dashboard struct {
	Panels      []panel
	Templating  struct{ List []struct{ Name string } }
	Annotations struct{ List []struct{ Expr string } }
}

type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  struct{ UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct{ Expr, RefID string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readFile(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

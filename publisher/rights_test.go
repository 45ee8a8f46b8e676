package publisher

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		outer, inner string
		covers, meet bool
	}{
		{"a.b", "a.b", true, true},
		{"a.b", "a.c", false, false},
		{"a.*", "a.b", true, true},
		{"a.b", "a.*", false, true},
		{"a.*", "a.*", true, true},
		{"*.b", "a.*", false, true},
		{"a.>", "a.b.c", true, true},
		{"a.>", "a.*.>", true, true},
		{"a.*.>", "a.>", false, true},
		{"a.*", "a.>", false, true},
		{"a.>", "a", false, false},
		{"a", "a.b", false, false},
		{"a.b", "a", false, false},
		{">", "a.b", true, true},
		{"$JS.API.>", ">", false, true},
	} {
		if got := covers(c.outer, c.inner); got != c.covers {
			t.Errorf("%s covers %s: %v", c.outer, c.inner, got)
		}
		if meet(c.outer, c.inner) != c.meet || meet(c.inner, c.outer) != c.meet {
			t.Errorf("%s and %s meet: not %v", c.outer, c.inner, c.meet)
		}
	}
}

func TestRights(t *testing.T) {
	publish := func(allow, deny string) *rights {
		return &rights{Publish: &subjectRights{Allow: strings.Fields(allow), Deny: strings.Fields(deny)}}
	}
	for name, c := range map[string]struct {
		rights *rights
		want   []string // subject and severity
	}{
		"not told":       {nil, nil},
		"all":            {&rights{}, nil},
		"all by a list":  {publish("zenduty.> $JS.API.> $SYS.REQ.USER.INFO", ""), nil},
		"denied":         {publish("", "zenduty.>"), []string{"zenduty.incident.*.* error", "zenduty.quarantine.* error", "zenduty.canary.* warning"}},
		"partly denied":  {publish("", "zenduty.incident.resolved.*"), []string{"zenduty.incident.*.* warning"}},
		"partly allowed": {publish("zenduty.incident.triggered.> zenduty.quarantine.* zenduty.canary.* $JS.API.> $SYS.REQ.USER.INFO", ""), []string{"zenduty.incident.*.* warning"}},
		"may not ask": {publish("zenduty.>", ""), []string{
			"$JS.API.STREAM.INFO.ZENDUTY warning", "$JS.API.STREAM.CREATE.ZENDUTY warning",
			"$JS.API.STREAM.UPDATE.ZENDUTY warning", "$JS.API.STREAM.MSG.GET.ZENDUTY warning",
			"$JS.API.CONSUMER.CREATE.ZENDUTY.* warning", "$JS.API.CONSUMER.MSG.NEXT.ZENDUTY.* warning",
			"$JS.API.INFO warning", "$SYS.REQ.USER.INFO warning",
		}},
		"hears no answers": {&rights{Subscribe: &subjectRights{Allow: []string{"zenduty.>"}}}, []string{"_INBOX.> error"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			found := auditRights(c.rights, nil, Options{}.withDefaults())
			wrong(t, found)
			for _, f := range found {
				if f.Severity != SeverityOK {
					got = append(got, f.On+" "+string(f.Severity))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

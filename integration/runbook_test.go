package integration

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What root salvages, as under systemd, the bridge's own user goes on with.
func TestSalvagedByRoot(t *testing.T) {
	const user = 65532
	if os.Geteuid() != 0 {
		t.Skip("only root can run a bridge as another user")
	}
	dir, err := os.MkdirTemp("", "zenduty-bridge-owned-") // that the other user can enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, dataDir := filepath.Join(dir, "zenduty-bridge"), filepath.Join(dir, "data")
	program, err := os.ReadFile(bridgeBinary)
	err = errors.Join(err, os.Chmod(dir, 0o755), os.WriteFile(binary, program, 0o755), os.Mkdir(dataDir, 0o700), os.Chown(dataDir, user, user))
	if err != nil {
		t.Fatal(err)
	}
	serve := func(natsURL string) *bridgeProcess {
		b := &bridgeProcess{}
		cmd := exec.Command(binary, "serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-url", natsURL)
		cmd.Dir, cmd.Env = dir, []string{"ZENDUTY_SIGNING_KEY=" + signingKey}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		b.process = start(t, cmd, b.logged)
		eventually(t, 30*time.Second, "the bridge's first lines", func() bool { return b.announced() || b.hasEnded() })
		if b.hasEnded() {
			t.Fatalf("the bridge ended at once: %v", b.err)
		}
		return b
	}
	b := serve(nowhere)
	l := generatedLoad(t, 50, 8)
	postAll(t, b.url, l, 4)
	b.kill()
	manifests, err := filepath.Glob(filepath.Join(dataDir, "spool", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("%v, %v", manifests, err)
	}
	for _, manifest := range manifests {
		if err := os.Truncate(manifest, 0); err != nil {
			t.Fatal(err)
		}
	}
	out, log, code := runBridge(t, "spool", "salvage", "--replace", "--data-dir", dataDir)
	checkSaid(t, out, "lost: 0", "kept as "+dataDir+"/spool.damaged-")
	if code != 0 {
		t.Fatalf("salvage: exit code %d\n%s", code, log)
	}
	n := startNATS(t)
	b = serve(n.url())
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

// The pod by which the runbook has a spool salvaged is one that Kubernetes knows, and has
// of the chart's own pod what matters to the volume.
func TestRunbookSalvagePod(t *testing.T) {
	manifest := ""
	for _, line := range strings.SplitAfter(fenced(readFile(t, prometheusDir+"RUNBOOK.md"), "yaml")[0], "\n") {
		manifest += strings.TrimPrefix(line, "  ")
	}
	if out, err := kubeconform(t, kubernetesSchemas(t, oldestKubernetes), manifest); err != nil || !strings.Contains(out, "Valid: 1") {
		t.Fatalf("%v\n%s", err, out)
	}
	rendered, err := helm(t, "template", "zenduty-bridge", chart, "--namespace", "pager", "-f", "testdata/helm/minimal.yaml")
	if err != nil {
		t.Fatal(rendered)
	}
	set := ofKind(t, objects(t, rendered), "StatefulSet", "")
	ours, pod := podOf(set), podOf(objects(t, manifest)[0])
	if diff := cmp.Diff(ours["securityContext"], pod["securityContext"]); diff != "" {
		t.Error(diff)
	}
	container, bridge := pod.list("containers")[0], ours.list("containers")[0]
	if diff := cmp.Diff(bridge["securityContext"], container["securityContext"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(bridge.list("volumeMounts")[0], container.list("volumeMounts")[0]); diff != "" {
		t.Error(diff)
	}
	claim := set.list("spec", "volumeClaimTemplates")[0].text("metadata", "name") + "-" + set.text("metadata", "name") + "-0"
	if got := pod.list("volumes")[0].text("persistentVolumeClaim", "claimName"); got != claim {
		t.Errorf("it has the volume %s, the replica has %s", got, claim)
	}
}

package health

import "testing"

// Linux keeps /dev/shm in memory and /proc nowhere (shm_overview(7)).
func TestFileSystem(t *testing.T) {
	for dir, want := range map[string]string{"/dev/shm": "tmpfs", "/proc": "", "/none": ""} {
		if got := fileSystem(dir); got != want {
			t.Errorf("%s is on %q, want %q", dir, got, want)
		}
	}
}

func TestSystemClock(t *testing.T) {
	if _, off, err := systemClock(); err != nil || off < 0 {
		t.Error(off, err)
	}
}

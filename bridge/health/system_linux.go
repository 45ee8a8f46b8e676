package health

import (
	"time"

	"golang.org/x/sys/unix"
)

// fileSystem names the sorts of file system that call for attention; others are "".
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return ""
	}
	return map[int64]string{
		unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
		unix.NFS_SUPER_MAGIC: "nfs", unix.CIFS_SUPER_MAGIC: "cifs", unix.SMB2_SUPER_MAGIC: "cifs", unix.FUSE_SUPER_MAGIC: "fuse",
	}[int64(s.Type)] //nolint:unconvert // it is an int32 on some machines
}

// systemClock asks the kernel (adjtimex(2), which changes nothing without modes).
// off is the error that it reckons with.
func systemClock() (synchronised bool, off time.Duration, err error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, time.Duration(t.Esterror) * time.Microsecond, err
}

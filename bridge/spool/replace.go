package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// salvagingSuffix ends the name of the directory beside a spool that SalvageInPlace
// copies to. It is there without the spool only between the two renames, when all of
// it is on the disk.
const salvagingSuffix = ".salvaging"

// SalvageInPlace is as Salvage, into a directory beside the spool, which takes the
// spool's place if it is whole, with its owner and mode. The damaged one is kept beside
// it, under the name returned. So the directory above the spool must be on the same
// disk, with room for the copy. On an error everything is as it was; only if it came
// between the two renames, the next Open, or another try, does the second.
func SalvageInPlace(dir string, on vfs.FS, onlyWhole ...string) (kept string, result Salvaged, err error) {
	s := &salvage{on: orDefault(on), to: dir + salvagingSuffix, onlyWhole: onlyWhole}
	kept = dir + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	if err := s.replace(dir, kept); err != nil {
		return "", s.result, fmt.Errorf("salvage spool %s: %w", dir, err)
	}
	return kept, s.result, nil
}

// replace holds the damaged spool's lock to its end, so that no bridge opens it meanwhile.
func (s *salvage) replace(dir, kept string) (err error) {
	defer storefiles.Catch(&err)
	if _, err := finishReplacing(s.on, dir); err != nil {
		return err
	}
	e, err := examine(dir, s.on)
	if err != nil {
		return err
	}
	defer e.close()
	if err = s.on.RemoveAll(s.to); err == nil { // what another try has left
		err = s.copyAll(e)
	}
	if err == nil {
		err = s.checkWhole()
	}
	if err == nil {
		err = ownAs(s.on, s.to, dir)
	}
	if err == nil {
		err = s.on.Rename(dir, kept)
	}
	if err != nil {
		return errors.Join(err, s.on.RemoveAll(s.to))
	}
	if err := storefiles.SyncDirectory(s.on, s.on.PathDir(dir)); err != nil {
		return err
	}
	_, err = finishReplacing(s.on, dir)
	return err
}

// finishReplacing does the second rename if only the first was done.
func finishReplacing(on vfs.FS, dir string) (finished bool, err error) {
	saved := dir + salvagingSuffix
	if exists(on, dir) || !exists(on, saved) {
		return false, nil
	}
	if err = on.Rename(saved, dir); err == nil {
		err = storefiles.SyncDirectory(on, on.PathDir(dir))
	}
	return true, err
}

func exists(on vfs.FS, path string) bool {
	_, err := on.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// checkWhole reads what has been written.
func (s *salvage) checkWhole() error {
	report, err := verify(s.to, s.on)
	if err == nil {
		err = storefiles.Damage(report.Faults)
	}
	if err != nil {
		return fmt.Errorf("the copy %s is not as it was written, so the disk is not to be trusted: %w", s.to, err)
	}
	return nil
}

// ownAs gives a directory and the files in it the owner of another, and the directory
// its mode: what root has made, the bridge's user could not open.
func ownAs(on vfs.FS, dir, like string) error {
	info, err := on.Stat(like)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil // no disk of the machine's
	}
	names, err := on.List(dir)
	for _, name := range append(names, "") {
		if err == nil {
			err = os.Lchown(filepath.Join(dir, name), int(owner.Uid), int(owner.Gid))
		}
	}
	if err == nil {
		err = os.Chmod(dir, info.Mode().Perm())
	}
	if err != nil {
		return fmt.Errorf("give it the owner of %s (run this as root, or as that user): %w", like, err)
	}
	return nil
}

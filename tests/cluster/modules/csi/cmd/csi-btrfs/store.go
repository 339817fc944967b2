package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// store keeps subvolumes under volumes/ and snapshots/, each with its description in a file beside it. The description
// is written last, so that what has one is whole.
type store struct{ root string }

type description struct {
	Source string    `json:"source,omitempty"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"time"`
}

func (s store) prepare() error {
	for _, folder := range []string{s.volume(""), s.snapshot("")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (s store) volume(id string) string   { return filepath.Join(s.root, "volumes", id) }
func (s store) snapshot(id string) string { return filepath.Join(s.root, "snapshots", id) }

// checkID refuses what would lead out of the folder.
func checkID(id string) error {
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/\\") {
		return status.Errorf(codes.InvalidArgument, "%q is no usable identifier", id)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func btrfs(arguments ...string) error {
	output, err := exec.Command("btrfs", arguments...).CombinedOutput()
	if err != nil {
		return status.Errorf(codes.Internal, "btrfs %s: %s", strings.Join(arguments, " "), strings.TrimSpace(string(output)))
	}
	return nil
}

func describe(path string, d description) error {
	content, err := json.Marshal(d)
	if err == nil {
		err = os.WriteFile(path+".json", content, 0o600)
	}
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return nil
}

func described(path string) (d description, err error) {
	content, err := os.ReadFile(path + ".json")
	if err == nil {
		err = json.Unmarshal(content, &d)
	}
	return d, err
}

// create makes a subvolume, empty or as a snapshot of the source. What an interrupted call left is made anew.
func create(path, source string, readOnly bool, d description) error {
	if exists(path) {
		if err := btrfs("subvolume", "delete", path); err != nil {
			return err
		}
	}
	arguments := []string{"subvolume", "create", path}
	if source != "" {
		arguments = []string{"subvolume", "snapshot", source, path}
		if readOnly {
			arguments = []string{"subvolume", "snapshot", "-r", source, path}
		}
	}
	if err := btrfs(arguments...); err != nil {
		return err
	}
	if source == "" {
		// Pods run as any user; a real block volume would be mounted for them with an fsGroup.
		if err := os.Chmod(path, 0o777); err != nil {
			return status.Error(codes.Internal, err.Error())
		}
	}
	return describe(path, d)
}

func remove(path string) error {
	if err := os.Remove(path + ".json"); err != nil && !os.IsNotExist(err) {
		return status.Error(codes.Internal, err.Error())
	}
	if !exists(path) {
		return nil
	}
	return btrfs("subvolume", "delete", path)
}

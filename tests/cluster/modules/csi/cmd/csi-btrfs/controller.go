package main

import (
	"context"
	"os"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: version}, nil
}

func (*driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	controller := &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}
	return &csi.GetPluginCapabilitiesResponse{
		Capabilities: []*csi.PluginCapability{{Type: &csi.PluginCapability_Service_{Service: controller}}},
	}, nil
}

func (*driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

func (*driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	response := &csi.ControllerGetCapabilitiesResponse{}
	for _, kind := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
	} {
		rpc := &csi.ControllerServiceCapability_RPC{Type: kind}
		response.Capabilities = append(response.Capabilities,
			&csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc}})
	}
	return response, nil
}

// sourceOf gives the subvolume that a new volume is to be a copy of; empty for an empty volume.
func (d *driver) sourceOf(content *csi.VolumeContentSource) (string, error) {
	var path, id string
	switch {
	case content.GetSnapshot() != nil:
		id = content.GetSnapshot().GetSnapshotId()
		path = d.store.snapshot(id)
	case content.GetVolume() != nil:
		id = content.GetVolume().GetVolumeId()
		path = d.store.volume(id)
	default:
		return "", nil
	}
	if err := checkID(id); err != nil {
		return "", err
	}
	if _, err := described(path); err != nil {
		return "", status.Errorf(codes.NotFound, "no such content source: %s", id)
	}
	return path, nil
}

func (d *driver) CreateVolume(_ context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	id := request.GetName()
	if err := checkID(id); err != nil {
		return nil, err
	}
	for _, capability := range request.GetVolumeCapabilities() {
		if capability.GetBlock() != nil {
			return nil, status.Error(codes.InvalidArgument, "block volumes are not supported")
		}
	}
	size := request.GetCapacityRange().GetRequiredBytes()
	path := d.store.volume(id)
	if _, err := described(path); err != nil {
		source, err := d.sourceOf(request.GetVolumeContentSource())
		if err != nil {
			return nil, err
		}
		if err := create(path, source, false, description{Size: size, Time: time.Now()}); err != nil {
			return nil, err
		}
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: id, CapacityBytes: size, ContentSource: request.GetVolumeContentSource(),
	}}, nil
}

func (d *driver) DeleteVolume(_ context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if err := checkID(request.GetVolumeId()); err != nil {
		return nil, err
	}
	return &csi.DeleteVolumeResponse{}, remove(d.store.volume(request.GetVolumeId()))
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	confirmed := &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: request.GetVolumeCapabilities()}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: confirmed}, nil
}

func (d *driver) snapshot(id string) (*csi.Snapshot, error) {
	known, err := described(d.store.snapshot(id))
	if err != nil {
		return nil, status.Errorf(codes.NotFound, "no such snapshot: %s", id)
	}
	return &csi.Snapshot{
		SnapshotId: id, SourceVolumeId: known.Source, SizeBytes: known.Size,
		CreationTime: timestamppb.New(known.Time), ReadyToUse: true,
	}, nil
}

func (d *driver) CreateSnapshot(_ context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	id, source := request.GetName(), request.GetSourceVolumeId()
	for _, each := range []string{id, source} {
		if err := checkID(each); err != nil {
			return nil, err
		}
	}
	if _, err := d.snapshot(id); err != nil {
		volume, err := described(d.store.volume(source))
		if err != nil {
			return nil, status.Errorf(codes.NotFound, "no such volume: %s", source)
		}
		fresh := description{Source: source, Size: volume.Size, Time: time.Now()}
		if err := create(d.store.snapshot(id), d.store.volume(source), true, fresh); err != nil {
			return nil, err
		}
	}
	snapshot, err := d.snapshot(id)
	if err != nil {
		return nil, err
	}
	if snapshot.SourceVolumeId != source {
		return nil, status.Errorf(codes.AlreadyExists, "%s is a snapshot of another volume", id)
	}
	return &csi.CreateSnapshotResponse{Snapshot: snapshot}, nil
}

func (d *driver) DeleteSnapshot(_ context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if err := checkID(request.GetSnapshotId()); err != nil {
		return nil, err
	}
	return &csi.DeleteSnapshotResponse{}, remove(d.store.snapshot(request.GetSnapshotId()))
}

func (d *driver) ListSnapshots(_ context.Context, request *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	response := &csi.ListSnapshotsResponse{}
	entries, err := os.ReadDir(d.store.snapshot(""))
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	for _, entry := range entries {
		if !entry.IsDir() || (request.GetSnapshotId() != "" && request.GetSnapshotId() != entry.Name()) {
			continue
		}
		snapshot, err := d.snapshot(entry.Name())
		if err != nil || (request.GetSourceVolumeId() != "" && request.GetSourceVolumeId() != snapshot.SourceVolumeId) {
			continue
		}
		response.Entries = append(response.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: snapshot})
	}
	return response, nil
}

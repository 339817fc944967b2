// csi-btrfs is the test-bed's CSI driver: volumes are btrfs subvolumes of one file system, snapshots are read-only
// subvolume snapshots (atomic, so crash-consistent). It runs beside the kubelet on the node and registers itself there,
// so no node-driver-registrar is needed. Not there: block volumes, expansion, limits of size.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const version = "1"

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer
	name, node, socket string
	store              store
}

// registrar answers the kubelet, which finds our registration socket in its plugins_registry.
type registrar struct{ driver *driver }

func (r registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: r.driver.name, Endpoint: r.driver.socket, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (registrar) NotifyRegistrationStatus(_ context.Context, s *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	log.Printf("registered with the kubelet: %v %s", s.PluginRegistered, s.Error)
	return &registration.RegistrationStatusResponse{}, nil
}

func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return net.Listen("unix", path)
}

// logCalls writes down what changes something, and every failure.
func logCalls(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	response, err := handle(ctx, request)
	quiet := strings.Contains(info.FullMethod, "Get") || strings.Contains(info.FullMethod, "Probe")
	if err != nil || !quiet {
		log.Printf("%s %v -> %v %v", info.FullMethod, request, response, err)
	}
	return response, err
}

func serve(d *driver, registrationSocket string) error {
	plugin, err := listen(d.socket)
	if err != nil {
		return err
	}
	kubelet, err := listen(registrationSocket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logCalls))
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
	registry := grpc.NewServer()
	registration.RegisterRegistrationServer(registry, registrar{d})
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(plugin) }()
	go func() { failed <- registry.Serve(kubelet) }()
	return <-failed
}

func main() {
	d := &driver{}
	flag.StringVar(&d.name, "name", "", "name of the driver")
	flag.StringVar(&d.node, "node", "", "name of this node")
	flag.StringVar(&d.store.root, "data", "", "folder on a btrfs file system")
	flag.StringVar(&d.socket, "socket", "", "where to answer CSI calls")
	registrationSocket := flag.String("registration", "", "where to answer the kubelet's plugin registration")
	flag.Parse()
	if d.name == "" || d.node == "" || d.store.root == "" || d.socket == "" || *registrationSocket == "" {
		fmt.Fprintln(os.Stderr, "error: all of -name, -node, -data, -socket and -registration are needed")
		os.Exit(2)
	}
	if err := d.store.prepare(); err != nil {
		log.Fatal(err)
	}
	log.Printf("%s %s serves %s", d.name, version, d.store.root)
	log.Fatal(serve(d, *registrationSocket))
}

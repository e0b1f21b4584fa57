// Google's own in-memory Pub/Sub server for tests, as a program: the parts of the service that
// it lacks and a driver meets, which are permissions, credentials and a bound on the streams of
// one connection, are added here.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"strings"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refuse says what the service would to who has no permission or wrong credentials: topics whose
// names start with "denied" and the project "wrong-credentials" stand for those.
func refuse(request any) error {
	named, ok := request.(interface{ GetName() string })
	if !ok {
		if asked, ok := request.(interface{ GetSubscription() string }); ok {
			return refuseName(asked.GetSubscription())
		}
		return nil
	}
	if err := refuseName(named.GetName()); err != nil {
		return err
	}
	if made, ok := request.(*pb.Subscription); ok && strings.Contains(made.GetTopic(), "/topics/denied") {
		return status.Error(codes.PermissionDenied, "User not authorized to perform this action.")
	}
	return nil
}

func refuseName(name string) error {
	if strings.HasPrefix(name, "projects/wrong-credentials/") {
		return status.Error(codes.Unauthenticated, "Request had invalid authentication credentials.")
	}
	return nil
}

func main() {
	address := flag.String("listen", "127.0.0.1:8085", "the address to listen on")
	streams := flag.Uint("streams", 0, "how many streams a connection may have, 0 for any number")
	flag.Parse()

	fake := pstest.NewServer()
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(32 << 20),
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := refuse(request); err != nil {
				return nil, err
			}
			return handle(ctx, request)
		}),
	}
	if *streams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(uint32(*streams)))
	}
	server := grpc.NewServer(options...)
	pb.RegisterPublisherServer(server, &fake.GServer)
	pb.RegisterSubscriberServer(server, &fake.GServer)
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}

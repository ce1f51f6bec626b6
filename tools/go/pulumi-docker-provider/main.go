// Command pulumi-resource-docker serves the upstream Docker provider to Pulumi, under the resource types and
// property names of the pulumi-docker SDK. It has no Image and BuildxBuilder: images are built by RemoteImage.
package main

import (
	"encoding/json"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	upstream "github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// name is the package's name in type tokens; version is the SDK's, set when linking, for Pulumi asks for the
// plugin of its SDK's version.
const name = "docker"

var version string

// provider describes the upstream provider to the bridge. What it says beyond the computed names is where the
// SDK departs from them: types that were renamed, and lists whose names the SDK does not make plural.
func provider() tfbridge.ProviderInfo {
	p := tfbridge.ProviderInfo{
		P:       shimv2.NewProvider(upstream.New(version)()),
		Name:    name,
		Version: version,
		Config: map[string]*tfbridge.SchemaInfo{
			"registry_auth": {Name: "registryAuth", MaxItemsOne: tfbridge.False()},
		},
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_config": {Tok: "docker:index/serviceConfig:ServiceConfig"},
			"docker_container": {
				Tok:                 "docker:index/container:Container",
				DeleteBeforeReplace: true, // a container's name and ports can be held by one at a time
				Fields: map[string]*tfbridge.SchemaInfo{
					"command":           {Name: "command"},
					"networks_advanced": {Name: "networksAdvanced"},
				},
			},
			"docker_image": {
				Tok:    "docker:index/remoteImage:RemoteImage",
				Fields: map[string]*tfbridge.SchemaInfo{"name": {Name: "name"}}, // never auto-named: it says what to pull
			},
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"docker_image": {Tok: "docker:index/getRemoteImage:getRemoteImage"},
		},
	}
	p.MustComputeTokens(tokens.SingleModule("docker_", "index", tokens.MakeStandard(name)))
	p.SetAutonaming(255, "-")
	return p
}

func main() {
	// The bridge hands out the package's schema for generating SDKs, which this build does not serve: its name will do.
	schema, err := json.Marshal(map[string]string{"name": name, "version": version})
	if err != nil {
		panic(err)
	}
	tfbridge.Main(name, version, provider(), schema)
}

/** Another team's program: what the monitoring team's Prometheus, which is elsewhere, scrapes. */

import * as pulumi from "@pulumi/pulumi";
import { Platform } from "./platform";

const config = new pulumi.Config();
const [inInfra, inCluster] = [config.require("infra"), config.require("cluster")];
const infra = new Platform(inInfra);
const cluster = inCluster === inInfra ? infra : new Platform(inCluster);

/** Every node's exporter, as Prometheus reads it from a file (`file_sd_configs`). */
export const targets = infra.require("nodes").apply((nodes) =>
  nodes.map((node) => ({
    targets: [`${node.private_ip}:9100`],
    labels: { node: node.name, role: node.role, zone: node.zone },
  })),
);

/** What is probed from outside; not every environment has a CDN. */
export const probes = pulumi
  .all([cluster.require("api_server"), infra.get("cdn_url")])
  .apply((urls) => urls.filter((url) => url != null));

/** For the team's own deployments into the cluster: a secret, and stays one. */
export const kubeconfig = cluster.require("kubeconfig");

{{/* Labels nodes with zone, region and type, and removes those whose instance is gone. It makes no
load balancers and no routes. Its rights are the control plane's own, by the instance metadata. */}}
{{- define "values.aws-cloud-controller-manager" -}}
image:
  tag: v1.34.3
args:
  - --v=2
  - --cloud-provider=aws
  - --cluster-name={{ .Values.cluster.name }}
  - --controllers=cloud-node,cloud-node-lifecycle
  - --configure-cloud-routes=false
  - --allocate-node-cidrs=false
# the metadata service does not answer pods with an address of their own
hostNetworking: true
nodeSelector:
  node-role.kubernetes.io/control-plane: ""
resources:
  requests: {cpu: 20m, memory: 64Mi}
  limits: {memory: 256Mi}
{{- end -}}

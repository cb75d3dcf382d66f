{{/* What `kubectl top` and autoscalers ask. Kubelets are asked by their serving certificates, which
the cluster's authority signs; nothing is told to trust whoever answers. */}}
{{- define "values.metrics-server" -}}
image: {tag: v0.9.0}
tls: {type: cert-manager}
apiService: {insecureSkipTLSVerify: false}
defaultArgs:
  - --cert-dir=/tmp
  - --kubelet-preferred-address-types=InternalIP
  - --kubelet-use-node-status-port
  - --metric-resolution=15s
nodeSelector: {{ include "platformNode" . | fromYaml | toJson }}
resources:
  requests: {cpu: 20m, memory: 64Mi}
  limits: {memory: 256Mi}
{{- end -}}

{{/* Volumes for claims. Its role holds for what has the cluster's tag, so it must set the tag. The
storage class is in k8s/infrastructure/storage. */}}
{{- define "values.aws-ebs-csi-driver" -}}
{{- $irsa := dict "root" . "account" "kube-system/ebs-csi-controller-sa" -}}
controller:
  replicaCount: 1
  region: {{ .Values.cluster.region }}
  k8sTagClusterId: {{ .Values.cluster.name }}
  serviceAccount: {create: true, name: ebs-csi-controller-sa}
  {{- with include "irsa.envList" $irsa }}
  env: {{- . | nindent 4 }}
  {{- end }}
  {{- with include "irsa.volumes" $irsa }}
  volumes:
    {{- . | nindent 4 }}
  volumeMounts:
    {{- include "irsa.volumeMounts" $irsa | nindent 4 }}
  {{- end }}
  nodeSelector: {{ include "platformNode" . | fromYaml | toJson }}
  resources:
    requests: {cpu: 10m, memory: 40Mi}
    limits: {memory: 256Mi}
node:
  # the zone is asked of the metadata service, which answers no pod with an address of its own
  hostNetwork: true
  tolerateAllTaints: true
  resources:
    requests: {cpu: 10m, memory: 40Mi}
    limits: {memory: 128Mi}
{{- end -}}

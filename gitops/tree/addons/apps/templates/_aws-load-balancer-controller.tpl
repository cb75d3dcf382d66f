{{/* Load balancers for Services and Ingresses that ask for one; the public one is the program's.
Its role has neither WAF nor Shield. */}}
{{- define "values.aws-load-balancer-controller" -}}
{{- $irsa := dict "root" . "account" "kube-system/aws-load-balancer-controller" -}}
replicaCount: 1
clusterName: {{ .Values.cluster.name }}
region: {{ .Values.cluster.region }}
vpcId: {{ .Values.cluster.vpcId }}
defaultTargetType: instance            # the VPC does not know pods' addresses
enableShield: false
enableWaf: false
enableWafv2: false
enableCertManager: true
# else no Service at all could be made while the controller is away
enableServiceMutatorWebhook: false
serviceAccount: {create: true, name: aws-load-balancer-controller}
{{- with include "irsa.env" $irsa }}
env:
  {{- . | nindent 2 }}
extraVolumes:
  {{- include "irsa.volumes" $irsa | nindent 2 }}
extraVolumeMounts:
  {{- include "irsa.volumeMounts" $irsa | nindent 2 }}
{{- end }}
nodeSelector: {{ include "platformNode" . | fromYaml | toJson }}
resources:
  requests: {cpu: 20m, memory: 96Mi}
  limits: {memory: 256Mi}
{{- end -}}

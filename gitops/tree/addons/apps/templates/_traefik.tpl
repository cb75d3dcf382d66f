{{/* The ingress controller, behind the load balancer of the program: docs/decisions/0012. TLS ends
there, so it speaks HTTP alone, on one NodePort. */}}
{{- define "values.traefik" -}}
deployment: {replicas: 2}
global: {checkNewVersion: false, sendAnonymousUsage: false}
service: {type: NodePort}
ports:
  web: {nodePort: {{ .Values.ingress.nodePort }}}
  websecure: {expose: {default: false}}
providers:
  kubernetesCRD: {enabled: false}
  kubernetesIngress: {enabled: true, publishedService: {enabled: false}}
ingressClass: {enabled: true, isDefaultClass: true, name: traefik}
ingressRoute: {dashboard: {enabled: false}}
additionalArguments:
  - --ping.entrypoint=web              # where the load balancer asks for its health: /ping
  # an Ingress without an address is never well for Argo CD
  - --providers.kubernetesingress.ingressendpoint.hostname={{ .Values.ingress.host | default (printf "ingress.%s.internal" .Values.cluster.name) }}
resources:
  requests: {cpu: 50m, memory: 64Mi}
  limits: {memory: 256Mi}
{{- end -}}

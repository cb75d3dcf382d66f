{{- define "databases.labels" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/component: database
app.kubernetes.io/part-of: databases
{{- end }}

{{- define "databases.selector" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/component: database
{{- end }}

{{- /* The node with the database's role, which takes databases alone. */ -}}
{{- define "databases.node" -}}
nodeSelector:
  role: {{ . }}
tolerations:
  - {key: workload, operator: Equal, value: database, effect: NoSchedule}
{{- end }}

{{- /* 999 is the user of all three official images. Owners of a volume's files are set when it is
new alone: group-readable, PostgreSQL's data and RabbitMQ's cookie would be refused. */ -}}
{{- define "databases.podSecurity" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 999
  runAsGroup: 999
  fsGroup: 999
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "databases.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* All fields that the API server would fill in, or Argo CD would see a difference. */ -}}
{{- define "databases.volume" -}}
persistentVolumeClaimRetentionPolicy:
  whenDeleted: {{ .root.storage.whenDeleted }}
  whenScaled: Retain
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: data
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: {{ .root.storage.class }}
      volumeMode: Filesystem
      resources:
        requests: {storage: {{ .size }}}
{{- end }}

{{- /* One database's Services and budget. A drain may evict the one pod: it waits for the node's
successor, which a budget of none would keep from ever being made. */ -}}
{{- define "databases.services" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels: {{- include "databases.labels" .name | nindent 4 }}
spec:
  selector: {{- include "databases.selector" .name | nindent 4 }}
  ports: {{- toYaml .ports | nindent 4 }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}-headless
  labels: {{- include "databases.labels" .name | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{- include "databases.selector" .name | nindent 4 }}
  ports: {{- toYaml .ports | nindent 4 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels: {{- include "databases.labels" .name | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "databases.selector" .name | nindent 6 }}
{{- end }}

{{/* Where a part of the tree is. In: root, path (below the tree). */}}
{{- define "source" -}}
repoURL: {{ required "repoURL is required" .root.Values.repoURL }}
targetRevision: {{ .root.Values.targetRevision }}
path: {{ .root.Values.tree }}/{{ .path }}
{{- end -}}

{{/* Kustomize's components of a part; not those for kinds of add-ons, if there are none. In: root,
components (folders of k8s/components), up (the way to k8s). */}}
{{- define "components" -}}
{{- $components := .components | default list -}}
{{- if not .root.Values.addons }}{{ $components = without $components "credentials" "service-monitor" }}{{ end -}}
{{- if $components -}}
kustomize:
  components:
    {{- range $components }}
    - {{ $.up }}/components/{{ . }}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* How each Application is kept as git has it. */}}
{{- define "syncPolicy" -}}
automated: {prune: true, selfHeal: true, allowEmpty: false}
syncOptions: [CreateNamespace=true, PrunePropagationPolicy=foreground, PruneLast=true]
retry:
  limit: 3
  backoff: {duration: 5s, factor: 2, maxDuration: 1m}
{{- end -}}

{{/* A child of the root app. In: root, name (its project too), wave, path, namespace;
optional: helm, components and up. */}}
{{- define "application" -}}
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: {{ .name }}
  namespace: argocd
  annotations:
    argocd.argoproj.io/sync-wave: {{ .wave | quote }}
  finalizers: [resources-finalizer.argocd.argoproj.io]
spec:
  project: {{ .name }}
  source:
    {{- include "source" . | nindent 4 }}
    {{- with include "components" . }}{{ nindent 4 . }}{{ end }}
    {{- with .helm }}
    helm:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  destination:
    server: https://kubernetes.default.svc
    namespace: {{ .namespace }}
  syncPolicy:
    {{- include "syncPolicy" . | nindent 4 }}
{{- end -}}

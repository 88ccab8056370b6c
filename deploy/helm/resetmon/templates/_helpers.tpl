{{- define "resetmon.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "resetmon.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "resetmon.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "resetmon.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What pods are selected by: never changed after the installation. */}}
{{- define "resetmon.selector" -}}
app.kubernetes.io/name: {{ include "resetmon.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "resetmon.labels" -}}
{{ include "resetmon.selector" . }}
app.kubernetes.io/part-of: resetmon
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "resetmon.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "resetmon.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "resetmon.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "resetmon.port" -}}
{{- regexFind "[0-9]+$" .Values.config.listen }}
{{- end }}

{{- define "resetmon.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if not .Values.kubernetes }}{{ $_ := set $config "kubernetes" (dict "enabled" false) }}{{ end }}
{{- toYaml $config }}
{{- end }}


{{/* The settings under which the agent, and `helm test`, run. */}}
{{- define "resetmon.securityContext" -}}
# Root, because Kubernetes gives capabilities to no other user (it sets no ambient ones); but root of
# nothing else than the capabilities below, most of which the agent gives up once the programs are
# attached.
runAsUser: 0
runAsGroup: 0
privileged: false
allowPrivilegeEscalation: false
# It writes nowhere but to bpffs, and to standard output.
readOnlyRootFilesystem: true
{{- with .Values.appArmorProfile }}
# AppArmor's default for containers forbids to read the executables and namespaces of processes
# outside of it.
appArmorProfile:
  type: {{ . }}
{{- end }}
{{- if .Values.openshift }}
seLinuxOptions:
  # container_t may neither use bpffs nor read other processes.
  type: spc_t
{{- end }}
capabilities:
  drop: [ALL]
  add:
    # Load programs and create maps. Given up after the start.
    - BPF
    # Attach to tracepoints and read kernel memory. Given up after the start.
    - PERFMON
    # Executable, command line, cgroup and network namespace of other users' processes.
    - SYS_PTRACE
    # Configuration files of gateways that run as other users.
    - DAC_READ_SEARCH
{{- end }}

{{- define "resetmon.podSecurityContext" -}}
seccompProfile:
  # Has to allow bpf() to who has CAP_BPF: see the value.
  type: {{ ternary "Unconfined" .Values.seccompProfile .Values.openshift }}
{{- end }}

{{/* What the pods of the StatefulSet and of the Job have in common. */}}
{{- define "recording-host.labels" -}}
app.kubernetes.io/name: recording-host
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "recording-host.pod" -}}
{{- with .Values.pod -}}
{{ toYaml . }}
{{ end -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "recording-host.container" -}}
name: recording-host
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "recording-host.mounts" -}}
- { name: config, mountPath: /etc/recording-host, readOnly: true }
{{- if .Values.secretName }}
- { name: secrets, mountPath: /run/secrets/recording-host, readOnly: true }
{{- end }}
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "recording-host.volumes" -}}
{{- with .Values.secretName -}}
- name: secrets
  secret: { secretName: {{ . }}, defaultMode: 288 }
{{ end -}}
- name: tmp
  emptyDir: {}
{{- end }}

"""Traces and metrics of a client through OpenTelemetry; ``docs/monitoring.md`` has the names.

Only the module ``providers`` is imported by others, and only when somebody asks for telemetry.
"""

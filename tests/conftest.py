"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Machines differ and are shared: how long an example takes says nothing of the code. What ends a test that
# hangs is pytest's own time limit.
settings.register_profile("migemu", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("migemu")

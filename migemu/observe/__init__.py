"""What happened, told: events first; result, live view, summary, trace and report are renderings of them."""

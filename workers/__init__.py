"""What reads the event stream: alerts and the gateway. They never import each other."""

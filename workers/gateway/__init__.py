"""The gateway: fans the stream out over WebSocket and HTTP."""

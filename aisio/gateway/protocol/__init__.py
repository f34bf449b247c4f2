"""AIStore's names, properties and messages, without I/O."""

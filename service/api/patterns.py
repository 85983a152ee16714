"""What strings must look like, and how an error says so."""

PLAIN = r"^[^\p{Cc}]*$"
EVENT_TYPE = r"^[a-z][a-z0-9_]{0,31}$"

PATTERNS = {
    PLAIN: "must not contain control characters",
    EVENT_TYPE: "must be 1 to 32 lower-case letters, digits and _, and start with a letter",
}

"""What strings must look like, and how an error says so."""

PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
EVENT_TYPE = r"^[a-z][a-z0-9_]{0,31}$"
CURSOR = r"^[A-Za-z0-9_-]*$"
NAME_AND_VALUE = r"^[^:\x00-\x1f\x7f-\x9f]+:[^\x00-\x1f\x7f-\x9f]*$"

PATTERNS = {
    PLAIN: "must not contain control characters",
    EVENT_TYPE: "must be 1 to 32 lower-case letters, digits and _, and start with a letter",
    CURSOR: "is no cursor of this service",
    NAME_AND_VALUE: "must be name:value, without control characters",
}

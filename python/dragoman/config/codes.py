"""Every diagnostic code with its kebab-case name and what it means. Codes are never reused.

The hundreds tell the step: 00 files, 01 reading into messages, 02 Envoy's validation rules,
03 what this release supports, 04 checks across messages, 05 warnings, 06 the engine.
"""

CODES: dict[str, tuple[str, str]] = {
    "DG0001": ("unreadable-file", "The file can't be opened or read."),
    "DG0002": ("syntax", "The text isn't valid YAML, JSON or protobuf text."),
    "DG0003": ("not-utf8", "The file isn't UTF-8 (or UTF-16 with a byte order mark) text."),
    "DG0004": ("too-large", "The file has more bytes than the limit."),
    "DG0005": ("too-deep", "Values are nested deeper than the limit."),
    "DG0006": ("too-many-values", "More values than the limit once aliases are expanded."),
    "DG0007": ("alias-cycle", "A YAML alias contains itself."),
    "DG0008": ("several-documents", "The file holds more than one YAML document."),
    "DG0009": ("empty", "There is no configuration in the file."),
    "DG0010": ("no-configuration", "Neither a file nor inline YAML was given."),
    "DG0011": ("broken-message", "Binary protobuf data can't be decoded."),
    "DG0101": ("duplicate-key", "A key stands twice in one mapping."),
    "DG0102": ("unknown-field", "The message has no field of that name."),
    "DG0103": ("wrong-type", "The value has the wrong kind for its field."),
    "DG0104": ("bad-value", "The value can't be read as what its field needs."),
    "DG0105": ("unknown-enum-value", "The enumeration has no such value."),
    "DG0106": ("oneof-conflict", "Two fields are set of which only one may be."),
    "DG0107": ("missing-type", 'A typed configuration has no "@type".'),
    "DG0108": ("unknown-type", '"@type" names no known message.'),
    "DG0109": ("bad-key", "A mapping's key isn't a plain scalar."),
    "DG0201": ("required", "A field that must be set isn't."),
    "DG0202": ("out-of-bounds", "A value breaks a validation rule of its field."),
    "DG0301": ("unsupported-field", "The field isn't supported by this release."),
    "DG0302": ("unsupported-value", "The field is supported, but not with this value."),
    "DG0303": ("unsupported-extension", "The extension isn't supported by this release."),
    "DG0401": ("duplicate-cluster", "Two clusters have one name."),
    "DG0402": ("duplicate-listener", "Two listeners have one name."),
    "DG0403": ("duplicate-address", "Two listeners have one address."),
    "DG0404": ("unknown-cluster", "A route names a cluster that doesn't exist."),
    "DG0405": ("duplicate-domain", "Two virtual hosts claim one domain."),
    "DG0406": ("terminal-filter", "A terminal filter is missing, not last, or disabled."),
    "DG0407": ("filter-chains", "A listener's filter chains don't fit together."),
    "DG0408": ("exclusive-fields", "Fields are set that exclude each other."),
    "DG0409": ("cluster-weights", "The weights of a weighted cluster don't work."),
    "DG0410": ("bad-address", "An address isn't what it has to be there."),
    "DG0411": ("bad-endpoints", "The endpoints don't fit the cluster's type."),
    "DG0412": ("body-too-large", "A direct response's body is over the limit."),
    "DG0413": ("missing-data", "A file or environment variable doesn't exist."),
    "DG0414": ("forbidden-header", "A header may not be changed by configuration."),
    "DG0415": ("missing-field", "A field is needed because of another one's value."),
    "DG0501": ("deprecated-field", "Envoy is going to drop this field."),
    "DG0502": ("extension-by-name", "An extension was found by its name; Envoy wants its type."),
    "DG0503": ("ignored-field", "An unknown field was ignored, as asked."),
    "DG0601": ("refused-by-engine", "The engine refused the resource."),
}


def name_of(code: str) -> str:
    """The kebab-case name of `code`."""
    return CODES[code][0]

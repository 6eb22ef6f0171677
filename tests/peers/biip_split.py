"""Splits barcodes with biip: a JSON text a line in, a JSON object a line out."""

import json
import sys

import biip

for line in sys.stdin:
    try:
        result = biip.parse(json.loads(line))
        if result.gs1_message:
            elements = [[e.ai.ai, e.value] for e in result.gs1_message.element_strings]
        elif result.gs1_digital_link_uri:
            elements = [[e.ai.ai, e.value] for e in result.gs1_digital_link_uri.element_strings]
        elif result.gtin:
            elements = [["01", result.gtin.as_gtin_14()]]
        else:
            elements = None
        answer = {"elements": elements, "error": result.gs1_message_error or result.gs1_digital_link_uri_error}
    except biip.ParseError as error:
        answer = {"elements": None, "error": str(error)}
    print(json.dumps(answer))

"""Print the newest receipt: each Neuron node, how long it ran, and what the nodes cost.

Exit status: 0 printed, 2 there is none to read.
Example: optimal-tp receipt
  optimal-tp receipt --stack dev --json
"""

import argparse
import sys

from optimal_tp.cli.stack.results import configure_place, place_of, readable
from optimal_tp.cli.terminal import output
from optimal_tp.errors import Problem, SettingsError, aws_code
from optimal_tp.measurement.node_bill import RECEIPT, decode_receipt
from optimal_tp.report.claims import receipt_claim

configure = configure_place


def main(options: argparse.Namespace) -> int:
    """Print the receipt; with ``--json``, as it is stored. Raises SettingsError if there is none."""
    place = place_of(options)
    s3, where = place.session.client("s3"), f"{place.uri}/{RECEIPT}"
    with readable(place.uri):
        try:
            body = s3.get_object(Bucket=place.bucket, Key=place.start + RECEIPT)["Body"].read()
        except s3.exceptions.ClientError as error:
            if aws_code(error) not in ("NoSuchKey", "404"):
                raise
            remedy = "wait: the load generator writes it with the verdict and again when the nodes are gone"
            raise SettingsError([Problem(path="receipt", value=where, rule="must exist", remedy=remedy)]) from None
    text = body.decode("utf-8", errors="replace")
    try:
        found = decode_receipt(text)
    except ValueError as error:
        raise SettingsError([Problem(path="receipt", value=where, rule=f"must be a receipt: {error}")]) from None
    if output.is_json(options):
        sys.stdout.write(text.rstrip() + "\n")
        return 0
    sys.stdout.write(receipt_claim(found) + "\n")
    for node in found.nodes:
        until = "still there at " + node.seen if node.gone is None else "gone at " + node.gone
        sys.stdout.write(f"  {node.name}  {node.instance_type}  launched {node.launched}, {until}\n")
    return 0

"""The Pulumi package ``optimal-tp``: a component for programs in any language (docs/how-to/component.md)."""

import pathlib
import sys

# Pulumi runs only this folder; the packages that the component imports are beside it.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from neuron_nodes import NeuronNodes
from pulumi.provider.experimental import component_provider_host

if __name__ == "__main__":
    component_provider_host(components=[NeuronNodes], name="optimal-tp")

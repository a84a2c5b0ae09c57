"""Find the tensor-parallel degree at which a model serves best: the product, without Pulumi."""

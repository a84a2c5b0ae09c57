"""A model of AWS in which mistakes hurt, and the Pulumi plugin that stands before it."""

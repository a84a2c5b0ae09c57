"""The policy pack: passes the engine's resources to every rule. Run ``pulumi preview --policy-pack policy``."""

import collections.abc

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from rulebook import Options, Resource, ResourceRule, StackRule
from rules import RESOURCE_RULES, STACK_RULES

_DEFAULT = list(Options().required_tags)
_SCHEMA = PolicyConfigSchema(
    properties={"required_tags": {"type": "array", "items": {"type": "string"}, "default": _DEFAULT}}
)


def _options(config: collections.abc.Mapping[str, list[str]]) -> Options:
    return Options(required_tags=tuple(config.get("required_tags", _DEFAULT)))


def _of_resource(rule: ResourceRule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        """Report the violations of one resource."""
        resource = Resource(
            type=args.resource_type, name=args.name, properties=args.props, depends_on=frozenset(), urn=args.urn
        )
        for sentence in rule.check(resource, _options(args.get_config())):
            report(f"{sentence}. {rule.remedy}")

    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.description,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
        config_schema=_SCHEMA,
    )


def _seen(resource: PolicyResource) -> Resource:
    return Resource(
        type=resource.resource_type,
        name=resource.name,
        properties=resource.props,
        depends_on=frozenset(each.urn for each in resource.dependencies),
        urn=resource.urn,
    )


def _of_stack(rule: StackRule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        """Report the violations of all resources together."""
        for sentence in rule.check([_seen(each) for each in args.resources], _options(args.get_config())):
            report(f"{sentence}. {rule.remedy}")

    return StackValidationPolicy(
        name=rule.name,
        description=rule.description,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
        config_schema=_SCHEMA,
    )


PolicyPack(
    name="optimal-tp",
    policies=[*(_of_resource(rule) for rule in RESOURCE_RULES), *(_of_stack(rule) for rule in STACK_RULES)],
)

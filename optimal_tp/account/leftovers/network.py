"""The parts of the VPC, in the order in which AWS allows their deletion."""

import typing

from optimal_tp.account.changes import call
from optimal_tp.account.leftovers import questions
from optimal_tp.account.leftovers.kinds import Kind, Leftover, state_of
from optimal_tp.account.leftovers.monthly_prices import ADDRESS, INTERFACE_ENDPOINT, monthly
from optimal_tp.account.leftovers.scope import KindSearch, Scope, filters, searched
from optimal_tp.account.questions import Question


def _nat_gateways(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="NAT gateway",
            name=each["NatGatewayId"],
            bills=True,
            price=monthly(scope.settings.prices.nat_gateway),
            is_going=state_of(each) == "deleting",
            steps=(call("ec2", "delete_nat_gateway", NatGatewayId=each["NatGatewayId"]),),
        )
        for each in _tagged(scope, look, questions.NAT_GATEWAYS, word="Filter")
        if state_of(each) not in ("deleted", "failed")
    ]


def _addresses(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="Elastic IP",
            name=each["AllocationId"],
            bills=True,
            price=ADDRESS,
            steps=(call("ec2", "release_address", AllocationId=each["AllocationId"]),),
        )
        for each in _tagged(scope, look, questions.ADDRESSES)
    ]


def _endpoints(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        _endpoint(each)
        for each in _tagged(scope, look, questions.ENDPOINTS)
        if state_of(each).lower() not in ("deleted", "failed")
    ]


def _endpoint(entry: typing.Any) -> Leftover:  # noqa: ANN401 - as AWS answers
    is_free = entry.get("VpcEndpointType") == "Gateway"
    zones = len(entry.get("SubnetIds", ()))
    return Leftover(
        kind="VPC endpoint",
        name=entry["VpcEndpointId"],
        bills=not is_free,
        price=INTERFACE_ENDPOINT.times(zones) if entry.get("VpcEndpointType") == "Interface" and zones else None,
        is_going=state_of(entry).lower() == "deleting",
        steps=(call("ec2", "delete_vpc_endpoints", VpcEndpointIds=[entry["VpcEndpointId"]]),),
    )


def _flow_logs(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        # Their logs bill, in the log group.
        Leftover(
            kind="flow log",
            name=each["FlowLogId"],
            steps=(call("ec2", "delete_flow_logs", FlowLogIds=[each["FlowLogId"]]),),
        )
        for each in _tagged(scope, look, questions.FLOW_LOGS, word="Filter")
    ]


def _interfaces(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="network interface",
            name=each["NetworkInterfaceId"],
            steps=(call("ec2", "delete_network_interface", NetworkInterfaceId=each["NetworkInterfaceId"]),),
        )
        for each in _around(scope, look, questions.INTERFACES, "NetworkInterfaceId")
        # An interface in use, or one of an AWS service, goes with its user, which is listed by itself or is not ours.
        if state_of(each, "Status") != "in-use" and not each.get("RequesterManaged")
    ]


def _groups(scope: Scope, look: KindSearch) -> list[typing.Any]:
    found = _around(scope, look, questions.GROUPS, "GroupId") if scope.makes_cluster else []
    # A VPC's default group goes with the VPC.
    return [each for each in found if each.get("GroupName") != "default"]


def _group_rules(scope: Scope, look: KindSearch) -> list[Leftover]:
    """Return the rules that refer to another group: AWS does not delete a group while a rule refers to it."""
    found = [
        rule
        for group in _groups(scope, look)
        for rule in look(questions.GROUP_RULES, Filters=filters({"group-id": group["GroupId"]}))
        if rule.get("ReferencedGroupInfo", {}).get("GroupId", rule["GroupId"]) != rule["GroupId"]
    ]
    return [
        Leftover(
            kind="security group rule",
            name=rule["SecurityGroupRuleId"],
            steps=(
                call(
                    "ec2",
                    f"revoke_security_group_{'egress' if rule['IsEgress'] else 'ingress'}",
                    GroupId=rule["GroupId"],
                    SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]],
                ),
            ),
        )
        for rule in found
    ]


def _security_groups(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="security group",
            name=each["GroupId"],
            steps=(call("ec2", "delete_security_group", GroupId=each["GroupId"]),),
        )
        for each in _groups(scope, look)
    ]


def _subnets(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(kind="subnet", name=each["SubnetId"], steps=(call("ec2", "delete_subnet", SubnetId=each["SubnetId"]),))
        for each in _tagged(scope, look, questions.SUBNETS)
    ]


def _route_tables(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="route table",
            name=each["RouteTableId"],
            steps=(
                *(
                    call("ec2", "disassociate_route_table", AssociationId=association["RouteTableAssociationId"])
                    for association in each.get("Associations", ())
                ),
                call("ec2", "delete_route_table", RouteTableId=each["RouteTableId"]),
            ),
        )
        for each in _tagged(scope, look, questions.ROUTE_TABLES)
        # A VPC's main table goes with the VPC.
        if not any(association.get("Main") for association in each.get("Associations", ()))
    ]


def _gateways(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="internet gateway",
            name=each["InternetGatewayId"],
            steps=(
                *(
                    call(
                        "ec2",
                        "detach_internet_gateway",
                        InternetGatewayId=each["InternetGatewayId"],
                        VpcId=attachment["VpcId"],
                    )
                    for attachment in each.get("Attachments", ())
                ),
                call("ec2", "delete_internet_gateway", InternetGatewayId=each["InternetGatewayId"]),
            ),
        )
        for each in _tagged(scope, look, questions.INTERNET_GATEWAYS)
    ]


def _vpcs(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(kind="VPC", name=each["VpcId"], steps=(call("ec2", "delete_vpc", VpcId=each["VpcId"]),))
        for each in _tagged(scope, look, questions.VPCS)
    ]


def _tagged(scope: Scope, look: KindSearch, question: Question, *, word: str = "Filters") -> list[typing.Any]:
    """Return the resources with our tags; ``word`` is the call's parameter for filters."""
    if not scope.makes_network:
        return []
    ours = scope.tag_filters(look)
    return [] if ours is None else list(look(question, **{word: ours}))


def _around(scope: Scope, look: KindSearch, question: Question, key: str) -> list[typing.Any]:
    """Return the resources with our tags or those of EKS, Karpenter and drivers, and everything in a VPC of ours."""
    of_vpcs = [filters({"vpc-id": each["VpcId"]}) for each in _tagged(scope, look, questions.VPCS)]
    return searched(look, question, key, [*scope.searches(look), *of_vpcs])


NETWORK: typing.Final = (
    Kind(
        name="NAT gateway",
        look=_nat_gateways,
        asks=(questions.NAT_GATEWAYS,),
        rights=("ec2:DeleteNatGateway",),
        patience_seconds=600,
    ),
    Kind(name="Elastic IP", look=_addresses, asks=(questions.ADDRESSES,), rights=("ec2:ReleaseAddress",)),
    Kind(
        name="VPC endpoint",
        look=_endpoints,
        asks=(questions.ENDPOINTS,),
        rights=("ec2:DeleteVpcEndpoints",),
        patience_seconds=300,
    ),
    Kind(name="flow log", look=_flow_logs, asks=(questions.FLOW_LOGS,), rights=("ec2:DeleteFlowLogs",)),
    Kind(
        name="network interface",
        look=_interfaces,
        asks=(questions.INTERFACES, questions.VPCS),
        rights=("ec2:DeleteNetworkInterface",),
    ),
    Kind(
        name="security group rule",
        look=_group_rules,
        asks=(questions.GROUPS, questions.GROUP_RULES, questions.VPCS),
        rights=("ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"),
    ),
    Kind(
        name="security group",
        look=_security_groups,
        asks=(questions.GROUPS, questions.VPCS),
        rights=("ec2:DeleteSecurityGroup",),
    ),
    Kind(name="subnet", look=_subnets, asks=(questions.SUBNETS,), rights=("ec2:DeleteSubnet",)),
    Kind(
        name="route table",
        look=_route_tables,
        asks=(questions.ROUTE_TABLES,),
        rights=("ec2:DeleteRouteTable", "ec2:DisassociateRouteTable"),
    ),
    Kind(
        name="internet gateway",
        look=_gateways,
        asks=(questions.INTERNET_GATEWAYS,),
        rights=("ec2:DeleteInternetGateway", "ec2:DetachInternetGateway"),
    ),
    Kind(name="VPC", look=_vpcs, asks=(questions.VPCS,), rights=("ec2:DeleteVpc",)),
)

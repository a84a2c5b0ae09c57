"""The EKS cluster: control plane, its logs and keys, two system nodes, add-ons, and a Kubernetes provider."""

import collections.abc
import dataclasses
import json
import typing

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes

from infra import policies, roles
from infra.network import Subnets
from optimal_tp.facts import names
from optimal_tp.facts.eks_addons import AddonName
from optimal_tp.facts.names import SYSTEM_NAMESPACE
from optimal_tp.facts.versions import KubernetesMinor
from optimal_tp.settings.addons import AddonVersions
from optimal_tp.settings.infra import SYSTEM_NODES, ControlPlane, SystemNodes

_CONFIGURATION: typing.Final[typing.Mapping[AddonName, str]] = {
    # Without it network policies are accepted but not enforced (EKS user guide, "Configure network policies").
    "vpc-cni": json.dumps({"enableNetworkPolicy": "true"})
}
_CONTROL_PLANE_POLICY = "AmazonEKSClusterPolicy"
_EFS_DRIVER_POLICY = "service-role/AmazonEFSCSIDriverPolicy"
_EFS_DRIVER_ACCOUNT = "efs-csi-controller-sa"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Arguments of the cluster. ``cluster_name`` is its physical name."""

    cluster_name: str
    kubernetes: KubernetesMinor
    subnets: Subnets
    control_plane: ControlPlane
    system_nodes: SystemNodes
    addons: AddonVersions
    place: policies.Place
    profile: str | None
    """AWS profile with which the Kubernetes provider gets credentials; None: the environment's."""
    boundary: str | None
    """ARN of the permissions boundary of every role."""
    tags: collections.abc.Mapping[str, str]


class Cluster(pulumi.ComponentResource):
    """An EKS cluster with everything except Neuron. Children: ``<name>-control-plane``, ``-nodes``, add-ons.

    Takes its AWS provider from ``opts``. ``kubernetes_provider`` authenticates through the ``aws`` command.
    ``security_group_id`` is the group that EKS creates, through which control plane and nodes reach each other.
    """

    control_plane: pulumi.Resource
    """Dependency of resources that need the API server but no node."""
    running: tuple[pulumi.Resource, ...]
    """Dependencies of pods without a volume: nodes, their network, DNS and credentials. A dependency on the whole
    component would also wait a minute for EFS's driver, which charts do not need."""
    kubernetes_provider: kubernetes.Provider
    oidc_provider_arn: pulumi.Output[str]
    oidc_issuer: pulumi.Output[str]
    security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:infra:Cluster", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        control_plane = self._control_plane()
        oidc = aws.iam.OpenIdConnectProvider(
            f"{name}-oidc",
            url=control_plane.oidc_provider_url,
            client_id_lists=["sts.amazonaws.com"],
            tags=dict(args.tags),
            opts=self._child,
        )
        for arn in args.control_plane.admin_role_arns:
            self._administrator(arn, control_plane)
        # Without the network plugin no node becomes ready. Deleted before the nodes, it leaves their network interfaces
        # behind, which block the deletion of subnets and security group.
        network_plugin = self._addon("vpc-cni", args.addons.vpc_cni, after=[control_plane])
        proxy = self._addon("kube-proxy", args.addons.kube_proxy, after=[control_plane])
        # Nodes need these routes to join and to drain. The control plane does not: it would wait two minutes for a NAT
        # gateway.
        ways_out = [] if args.subnets.network is None else [args.subnets.network]
        nodes = self._nodes(after=[control_plane, network_plugin, proxy, *ways_out])
        # Without a node coredns never becomes active, and the add-on fails after 20 minutes.
        dns = self._addon("coredns", args.addons.coredns, after=[nodes])
        agent = self._addon("eks-pod-identity-agent", args.addons.pod_identity_agent, after=[nodes])
        self._efs_driver(after=[nodes, agent])
        self.control_plane, self.running = control_plane, (nodes, dns, agent)
        self.kubernetes_provider = kubernetes.Provider(
            f"{name}-kubernetes",
            kubeconfig=self._kubeconfig(control_plane),
            # Without it a preview with an unknown kubeconfig plans to replace the provider, and with it everything in
            # the cluster, including the node pool.
            cluster_identifier=args.place.cluster(args.cluster_name),
            # Take over objects that a killed run created without recording them. Each try has a field manager of its
            # own, and without force the second could never change the fields that the first still owns.
            upsert_existing_objects=True,
            enable_patch_force=True,
            opts=self._child,
        )
        self.oidc_provider_arn, self.oidc_issuer = oidc.arn, control_plane.oidc_issuer
        self.security_group_id = control_plane.cluster_security_group_id
        self.register_outputs(
            {
                "oidc_provider_arn": self.oidc_provider_arn,
                "oidc_issuer": self.oidc_issuer,
                "security_group_id": self.security_group_id,
            }
        )

    def _kubeconfig(self, control_plane: eks.Cluster) -> pulumi.Output[str]:
        """Return the kubeconfig with the profile, which the component's own text lacks."""
        if self._args.profile is None:
            return control_plane.kubeconfig_json
        return control_plane.kubeconfig.apply(json.dumps)

    def _bounded_role(self) -> tuple[aws.iam.Role | None, list[pulumi.Resource]]:
        """Create the control plane's role if it has a boundary: the component cannot set one on its own role."""
        args, name = self._args, f"{self._name}-control-plane"
        if args.boundary is None:
            return None, []
        trust = policies.service_trust("eks.amazonaws.com")
        role = roles.role(self, name, f"Control plane of {args.cluster_name}", trust, args)
        return role, roles.attach(self, name, role, [args.place.managed_policy(_CONTROL_PLANE_POLICY)])

    def _control_plane(self) -> eks.Cluster:
        args, wanted = self._args, self._args.control_plane
        key = aws.kms.Key(
            f"{self._name}-secrets",
            description=f"Kubernetes secrets of {args.cluster_name}",
            enable_key_rotation=True,
            deletion_window_in_days=wanted.key_deletion_days,
            tags=dict(args.tags),
            opts=self._child,
        )
        # EKS writes to this name and, if the group is missing, creates it without a retention.
        logs = aws.cloudwatch.LogGroup(
            f"{self._name}-logs",
            name=names.control_plane_log_group(args.cluster_name),
            retention_in_days=wanted.log_retention_days,
            tags=dict(args.tags),
            opts=self._child,
        )
        is_public = bool(wanted.public_access_cidrs)
        role, attached = self._bounded_role()
        credentials = None if args.profile is None else eks.KubeconfigOptionsArgs(profile_name=args.profile)
        return eks.Cluster(
            f"{self._name}-control-plane",
            name=args.cluster_name,
            version=args.kubernetes,
            vpc_id=args.subnets.vpc_id,
            private_subnet_ids=list(args.subnets.private_ids.values()),
            service_role=role,
            provider_credential_opts=credentials,
            authentication_mode=eks.AuthenticationMode.API,
            encryption_config_key_arn=key.arn,
            endpoint_private_access=True,
            endpoint_public_access=is_public,
            public_access_cidrs=list(wanted.public_access_cidrs) if is_public else None,
            enabled_cluster_log_types=list(wanted.log_types),
            deletion_protection=wanted.deletion_protection,
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            skip_default_node_group=True,
            skip_default_security_groups=True,
            # The component would connect to the issuer during preview to create its provider; ours does not.
            create_oidc_provider=False,
            # Add-ons are created below, so that we control their order relative to the nodes, and previews show them.
            bootstrap_self_managed_addons=False,
            use_default_vpc_cni=True,
            kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(enabled=False),
            coredns_addon_options=eks.CoreDnsAddonOptionsArgs(enabled=False),
            tags=dict(args.tags),
            # Late events would recreate a log group that is deleted before the cluster, and a cluster whose role has
            # lost its policy cannot be deleted.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs, *attached]),
        )

    def _administrator(self, role_arn: str, control_plane: eks.Cluster) -> None:
        name = f"{self._name}-admin-{role_arn.rsplit('/', maxsplit=1)[-1]}"
        after = pulumi.ResourceOptions(parent=self, depends_on=[control_plane])
        entry = aws.eks.AccessEntry(
            name,
            cluster_name=self._args.cluster_name,
            principal_arn=role_arn,
            type="STANDARD",
            tags=dict(self._args.tags),
            opts=after,
        )
        aws.eks.AccessPolicyAssociation(
            name,
            cluster_name=self._args.cluster_name,
            principal_arn=entry.principal_arn,
            policy_arn=f"arn:{self._args.place.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=after,
        )

    def _addon(
        self,
        addon: AddonName,
        version: str | None,
        *,
        after: collections.abc.Sequence[pulumi.Resource],
        identity: aws.eks.AddonPodIdentityAssociationArgs | None = None,
    ) -> aws.eks.Addon:
        return aws.eks.Addon(
            f"{self._name}-{addon}",
            cluster_name=self._args.cluster_name,
            addon_name=addon,
            addon_version=version,
            configuration_values=_CONFIGURATION.get(addon),
            pod_identity_associations=None if identity is None else [identity],
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            tags=dict(self._args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _efs_driver(self, *, after: collections.abc.Sequence[pulumi.Resource]) -> None:
        args = self._args
        trust = policies.pod_identity_trust(
            args.place, cluster_name=args.cluster_name, namespace=SYSTEM_NAMESPACE, service_account=_EFS_DRIVER_ACCOUNT
        )
        what = "EFS CSI driver: makes and removes access points"
        role = roles.role(self, f"{self._name}-efs-driver", what, trust, args)
        attachment = aws.iam.RolePolicyAttachment(
            f"{self._name}-efs-driver",
            role=role.name,
            policy_arn=args.place.managed_policy(_EFS_DRIVER_POLICY),
            opts=self._child,
        )
        identity = aws.eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=_EFS_DRIVER_ACCOUNT)
        # Without its role the driver fails every call to EFS, and volumes are neither mounted nor released.
        self._addon("aws-efs-csi-driver", args.addons.efs_csi_driver, after=[*after, attachment], identity=identity)

    def _nodes(self, *, after: collections.abc.Sequence[pulumi.Resource]) -> aws.eks.NodeGroup:
        name, args = f"{self._name}-nodes", self._args
        trust = policies.service_trust("ec2.amazonaws.com")
        role = roles.role(self, name, f"System nodes of {args.cluster_name}", trust, args)
        needed = [args.place.managed_policy(policy) for policy in policies.NODE_POLICIES]
        attachments = roles.attach(self, name, role, needed)
        template = aws.ec2.LaunchTemplate(
            name,
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name="/dev/xvda",
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_size=args.system_nodes.disk_gib,
                        volume_type="gp3",
                        encrypted="true",
                        delete_on_termination="true",
                    ),
                )
            ],
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_tokens="required", http_put_response_hop_limit=1
            ),
            # A managed node group does not pass its tags on to instances and volumes.
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(
                    resource_type=kind, tags={**args.tags, "Name": f"{args.cluster_name}-system"}
                )
                for kind in ("instance", "volume")
            ],
            tags=dict(args.tags),
            opts=self._child,
        )
        return aws.eks.NodeGroup(
            name,
            cluster_name=args.cluster_name,
            # With a generated name, a run that was killed here would be followed by a second group: two more instances
            # that bill and keep destroy from deleting the cluster. The name contains what forces a replacement.
            node_group_name=f"system-{args.system_nodes.instance_type.replace('.', '-')}",
            version=args.kubernetes,
            node_role_arn=role.arn,
            subnet_ids=list(args.subnets.private_ids.values()),
            ami_type="AL2023_x86_64_STANDARD",
            instance_types=[args.system_nodes.instance_type],
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=SYSTEM_NODES, desired_size=SYSTEM_NODES, max_size=SYSTEM_NODES + 1
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            tags=dict(args.tags),
            # A node whose role has lost a policy drops out of the cluster while Karpenter still runs on it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*after, *attachments]),
        )

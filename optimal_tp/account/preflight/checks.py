"""All checks in order: each asks AWS and hands the answer to a pure check."""

from optimal_tp.account import questions
from optimal_tp.account.preflight import images, login, making, nodes, present, quotas, taken
from optimal_tp.account.preflight.context import Scene
from optimal_tp.account.preflight.rows import Row
from optimal_tp.settings.aws.existing import ExistingCluster


def checks(scene: Scene) -> list[Row]:
    """Return a row for each check of the stack."""
    who = f"account {scene.account}, region {scene.settings.region}"
    return [
        Row(check="credentials and region", state="fine", found=who, required="AWS accepts the credentials"),
        *login.rows(scene),
        *nodes.rows(scene),
        *_software(scene),
        *(_new(scene) if scene.settings.existing is None else _existing(scene, scene.settings.existing)),
        *taken.rows(scene),
        *_pulled(scene),
        making.command(scene.aws_command),
    ]


def _software(scene: Scene) -> list[Row]:
    neuron, minor = scene.settings.neuron, scene.settings.kubernetes
    parameter = scene.ask(questions.PARAMETER, Name=making.ami_parameter(neuron, minor))
    # Without an id EC2 is not asked; the answer for the parameter says why.
    image = parameter
    if not isinstance(parameter, questions.Unknown) and parameter:
        # Karpenter launches deprecated AMIs too (karpenter-provider-aws pull request 6500).
        image = scene.ask(questions.AMIS, ImageIds=[parameter[0]["Value"]], IncludeDeprecated=True)
    return [making.pair(neuron, minor), making.support(neuron), making.ami(neuron, minor, parameter, image)]


def _new(scene: Scene) -> list[Row]:
    settings, ask, minor = scene.settings, scene.ask, scene.settings.kubernetes
    offered = ask(questions.VERSIONS, clusterVersions=[minor])
    today = scene.now.date()
    rows = [making.kubernetes(minor, offered, today), making.karpenter(minor, today)]
    for addon, version in settings.addons.by_addon().items():
        answer = ask(questions.ADDON_VERSIONS, addonName=addon, kubernetesVersion=minor)
        rows.append(making.addon(addon, version, minor, answer))
    there = ask(questions.CLUSTER, name=settings.cluster_name)
    rows += [*quotas.rows(scene), making.networks(settings, there)]
    for arn in settings.control_plane.admin_role_arns:
        role = ask(questions.ROLE, RoleName=arn.rsplit("/", 1)[-1])
        rows.append(making.administrator(arn, scene, role, there))
    network = settings.network.existing
    if network is not None:
        by_id = [{"Name": "vpc-id", "Values": [network.vpc_id]}]
        rows.append(present.vpc(network.vpc_id, ask(questions.VPCS, Filters=by_id)))
        wanted = network.private_subnet_ids
        answer = ask(questions.SUBNETS, Filters=[{"Name": "subnet-id", "Values": list(wanted.values())}])
        key = "infra.network.existing"
        rows.append(present.subnets(key, wanted.values(), settings.zones, network.vpc_id, answer))
        rows.append(present.placed(wanted, answer))
    return rows


def _existing(scene: Scene, existing: ExistingCluster) -> list[Row]:
    settings, ask = scene.settings, scene.ask
    zones, name = settings.neuron.zones, existing.cluster_name
    cluster = ask(questions.CLUSTER, name=name)
    vpc_id = present.vpc_of(cluster)
    by_subnet = [{"Name": "subnet-id", "Values": list(existing.subnet_ids)}]
    by_group = [{"Name": "group-id", "Values": list(existing.security_group_ids)}]
    profile = ask(questions.PROFILE, InstanceProfileName=existing.instance_profile)
    role = present.node_role(profile)
    # Without a role EKS is not asked; the row of the profile says why.
    entry = profile if role is None else ask(questions.ACCESS_ENTRY, clusterName=name, principalArn=role)
    files = {"FileSystemId": existing.file_system_id}
    subnets = ask(questions.SUBNETS, Filters=by_subnet)
    return [
        *present.cluster(settings, existing, cluster),
        present.provider(existing, ask(questions.OIDC_PROVIDER, OpenIDConnectProviderArn=existing.oidc_provider_arn)),
        present.subnets("infra.existing", existing.subnet_ids, zones, vpc_id, subnets),
        present.groups(existing, vpc_id, ask(questions.GROUPS, Filters=by_group)),
        present.files(existing, ask(questions.FILE_SYSTEMS, **files)),
        present.mounts(zones, ask(questions.MOUNT_TARGETS, **files)),
        present.profile(existing, profile),
        present.entry(existing, role, entry),
    ]


def _pulled(scene: Scene) -> list[Row]:
    rows = []
    for what, text in images.images(scene.settings, scene.experiment).items():
        wanted = images.reference(text)
        rows.append(images.reachable(f"image: {what}", wanted, _manifest(scene, wanted)))
    source = scene.settings.registries.charts
    for what, chart in images.charts(scene.settings).items():
        place, check = chart.reference(source), f"chart: {what}"
        if place.startswith("oci://"):
            wanted = images.reference(f"{place.removeprefix('oci://')}:{chart.version}")
            rows.append(images.reachable(check, wanted, _manifest(scene, wanted)))
        else:
            rows.append(images.folder(check, place, is_there=scene.has_chart(place)))
    return rows


def _manifest(scene: Scene, wanted: images.Reference) -> questions.Answer:
    """Ask the registry; a private one of Amazon ECR through its API, which answers with the caller's own rights."""
    if wanted.ecr is None:
        return scene.manifest(wanted.manifest_url)
    account, region = wanted.ecr
    if region != scene.settings.region:
        return questions.Unknown(reason=f"the registry is in {region}, not in the stack's {scene.settings.region}")
    by = {"imageDigest" if wanted.is_digest else "imageTag": wanted.version}
    found = scene.ask(questions.IMAGES, registryId=account, repositoryName=wanted.repository, imageIds=[by])
    if isinstance(found, questions.Unknown):
        return found
    return tuple(str(each["imageDigest"]) for each in found)

#pragma once

// The one place that states the version: the build reads these three lines.
#define SSM_VERSION_MAJOR 0
#define SSM_VERSION_MINOR 1
#define SSM_VERSION_PATCH 0

namespace ssm {

/// The version of the headers. Semantic versioning: before 1.0 a new minor version may break code,
/// and its release notes say how to move.
struct Version {
    int major;
    int minor;
    int patch;

    friend bool operator==(const Version&, const Version&) = default;
};

/// The version of the headers that this translation unit sees.
inline constexpr Version version{SSM_VERSION_MAJOR, SSM_VERSION_MINOR, SSM_VERSION_PATCH};

}  // namespace ssm

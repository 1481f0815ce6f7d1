# Builds the tree that this file lies in. A registry's port has vcpkg_from_github, or the like, in place of the next line.
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    FEATURES
        avif VKCLIP_WITH_AVIF
        command VKCLIP_BUILD_COMMAND
        curl VKCLIP_WITH_CURL
        exif VKCLIP_WITH_EXIF
        heif VKCLIP_WITH_HEIF
        hub VKCLIP_WITH_HUB
        jpeg VKCLIP_WITH_JPEG
        jxl VKCLIP_WITH_JXL
        libarchive VKCLIP_WITH_LIBARCHIVE
        png VKCLIP_WITH_PNG
        postgresql VKCLIP_WITH_POSTGRESQL
        search VKCLIP_WITH_SEARCH
        server VKCLIP_WITH_SERVER
        tiff VKCLIP_WITH_TIFF
        torch VKCLIP_WITH_TORCH
        training VKCLIP_WITH_TRAINING
        webp VKCLIP_WITH_WEBP
)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${FEATURE_OPTIONS}
        -DVKCLIP_BUILD_BENCH=OFF
        -DVKCLIP_BUILD_TESTS=OFF
        "-DGLSLANG=${CURRENT_HOST_INSTALLED_DIR}/tools/glslang/glslang${VCPKG_HOST_EXECUTABLE_SUFFIX}"
)
vcpkg_cmake_install()
vcpkg_copy_pdbs()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/vkclip)
vcpkg_fixup_pkgconfig()
if("command" IN_LIST FEATURES)
    vcpkg_copy_tools(TOOL_NAMES vkclip AUTO_CLEAN)
endif()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE" "${SOURCE_PATH}/NOTICE")

# cmake -DDESCRIPTION=NAME.cmake -DFILE=FILE -DOUTPUT=NAME.spdx.json -P SbomWrite.cmake writes the bill of materials of one
# library or program, which third_party/Sbom.cmake describes, with the checksums of the file.
cmake_minimum_required(VERSION 3.22)
include(${DESCRIPTION})
get_filename_component(file_name ${FILE} NAME)
foreach(algorithm SHA1 SHA256)
  file(${algorithm} ${FILE} ${algorithm})
endforeach()
# SPDX's code of a package is the SHA-1 of its files' SHA-1s.
string(SHA1 code "${SHA1}")
set(elements)
set(relations)
foreach(package IN LISTS packages)
  string(REGEX MATCH "^(.*)[|](.*)[|](.*)[|](.*)[|](.*)$" _ "${package}")
  set(package ${CMAKE_MATCH_1})
  set(relation ${CMAKE_MATCH_2})
  set(licence ${CMAKE_MATCH_5})
  set(known)
  if(CMAKE_MATCH_3)
    string(APPEND known "\n      \"versionInfo\": \"${CMAKE_MATCH_3}\",")
  endif()
  if(CMAKE_MATCH_4)
    string(APPEND known "\n      \"packageFileName\": \"${CMAKE_MATCH_4}\",")
  endif()
  string(REGEX REPLACE "[^A-Za-z0-9.-]" "-" id SPDXRef-${package})
  set(pair "\"SPDXRef-vkclip\", \"relatedSpdxElement\": \"${id}\"")
  if(relation MATCHES "_OF$")
    set(pair "\"${id}\", \"relatedSpdxElement\": \"SPDXRef-vkclip\"")
  endif()
  list(APPEND relations "{\"spdxElementId\": ${pair}, \"relationshipType\": \"${relation}\"}")
  list(APPEND elements "    {
      \"SPDXID\": \"${id}\",
      \"name\": \"${package}\",${known}
      \"supplier\": \"NOASSERTION\",
      \"downloadLocation\": \"NOASSERTION\",
      \"filesAnalyzed\": false,
      \"licenseConcluded\": \"NOASSERTION\",
      \"licenseDeclared\": \"${licence}\",
      \"copyrightText\": \"NOASSERTION\"
    }")
endforeach()
list(JOIN elements ",\n" elements)
list(JOIN relations ",\n    " relations)
# SOURCE_DATE_EPOCH gives the time, where it is set.
string(TIMESTAMP created "%Y-%m-%dT%H:%M:%SZ" UTC)
string(UUID identity NAMESPACE 6ba7b811-9dad-11d1-80b4-00c04fd430c8 TYPE SHA1
       NAME "${name} ${version} ${created} ${SHA256} ${packages}")
file(WRITE ${OUTPUT} "{
  \"spdxVersion\": \"SPDX-2.3\",
  \"dataLicense\": \"CC0-1.0\",
  \"SPDXID\": \"SPDXRef-DOCUMENT\",
  \"name\": \"${name}-${version}\",
  \"documentNamespace\": \"https://spdx.org/spdxdocs/${name}-${version}-${identity}\",
  \"creationInfo\": {
    \"created\": \"${created}\",
    \"creators\": [\"Organization: the vkclip authors\", \"Tool: vkclip-${version}\"]
  },
  \"packages\": [
    {
      \"SPDXID\": \"SPDXRef-vkclip\",
      \"name\": \"${name}\",
      \"versionInfo\": \"${version}\",
      \"supplier\": \"Organization: the vkclip authors\",
      \"downloadLocation\": \"NOASSERTION\",
      \"filesAnalyzed\": true,
      \"packageVerificationCode\": {\"packageVerificationCodeValue\": \"${code}\"},
      \"hasFiles\": [\"SPDXRef-file\"],
      \"licenseConcluded\": \"MIT\",
      \"licenseDeclared\": \"MIT\",
      \"licenseInfoFromFiles\": [\"MIT\"],
      \"copyrightText\": \"Copyright (c) 2026 the vkclip authors\"
    },
${elements}
  ],
  \"files\": [
    {
      \"SPDXID\": \"SPDXRef-file\",
      \"fileName\": \"./${file_name}\",
      \"fileTypes\": [\"BINARY\"],
      \"checksums\": [
        {\"algorithm\": \"SHA1\", \"checksumValue\": \"${SHA1}\"},
        {\"algorithm\": \"SHA256\", \"checksumValue\": \"${SHA256}\"}
      ],
      \"licenseConcluded\": \"MIT\",
      \"licenseInfoInFiles\": [\"MIT\"],
      \"copyrightText\": \"Copyright (c) 2026 the vkclip authors\"
    }
  ],
  \"relationships\": [
    {\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relatedSpdxElement\": \"SPDXRef-vkclip\", \"relationshipType\": \"DESCRIBES\"},
    {\"spdxElementId\": \"SPDXRef-vkclip\", \"relatedSpdxElement\": \"SPDXRef-file\", \"relationshipType\": \"CONTAINS\"},
    ${relations}
  ]
}
")

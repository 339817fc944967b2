#include "agent/kubernetes/velero/storage_address.h"

#include <gtest/gtest.h>

namespace salvor::velero {
namespace {

struct Case {
  Json config;
  std::string address;
  std::string provider = "aws", bucket = "shop";
};

TEST(RecordsAddress, IsThatOfWhichVeleroSigns) {
  const std::string path = "true";
  for (const Case& one : {
           Case{{{"s3Url", "https://minio:9000"}, {"s3ForcePathStyle", path}}, "https://minio:9000/"},
           Case{{{"s3Url", "https://minio:9000/"}, {"s3ForcePathStyle", path}}, "https://minio:9000/"},
           Case{{{"s3Url", "https://minio"}, {"s3ForcePathStyle", path}}, "https://minio/", "velero.io/aws"},
           Case{{{"s3Url", "http://minio:9000"},
                 {"publicUrl", "https://s3.example"},
                 {"s3ForcePathStyle", path}},
                "https://s3.example/"},
           Case{{{"s3Url", "https://minio:9000"},
                 {"publicUrl", "http://s3.example"},
                 {"s3ForcePathStyle", path}},
                ""},
           Case{{{"s3Url", "https://minio:9000"}}, "https://shop.minio:9000/"},
           Case{{{"s3Url", "https://minio:9000"}, {"s3ForcePathStyle", "false"}}, "https://shop.minio:9000/"},
           Case{{{"s3Url", "https://minio:9000"}}, "https://minio:9000/", "aws", "shop.backups"},
           Case{{{"s3Url", "https://10.1.2.3:9000"}}, "https://10.1.2.3:9000/"},
           Case{{{"s3Url", "https://[fd00::1]:9000"}}, "https://[fd00::1]:9000/"},
           Case{{{"s3Url", "http://minio:9000"}, {"s3ForcePathStyle", path}}, ""},
           Case{{{"region", "eu-central-1"}}, ""},
           Case{Json::object(), ""},
           Case{{{"s3Url", "https://"}}, ""},
           Case{{{"s3Url", "https://user:secret@minio"}}, ""},
           Case{{{"s3Url", "https://minio"}, {"s3ForcePathStyle", path}}, "", "azure"},
       }) {
    const Json location = {
        {"spec",
         {{"provider", one.provider}, {"objectStorage", {{"bucket", one.bucket}}}, {"config", one.config}}}};
    EXPECT_EQ(RecordsAddress(location), one.address) << location.dump();
  }
}

TEST(RecordsAddress, OfWhatIsNoLocationIsNone) {
  EXPECT_EQ(RecordsAddress(Json()), "");
  EXPECT_EQ(RecordsAddress({{"spec", {{"provider", "aws"}, {"config", "x"}}}}), "");
}

}  // namespace
}  // namespace salvor::velero
